/* Sets the registers of a process also where the CPU's XSAVE area is larger than the caller knows.

   Linux takes the register set NT_X86_XSTATE only whole. The kernel of User Mode Linux 6.12 knows an area without AMX,
   so on a CPU with AMX each of its PTRACE_SETREGSET fails, and the first process there ends with SIGSEGV. Preloaded,
   this fills up what is missing with what the process has. (Debian's 7.2 needs none of this, but has no iptables.) */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define XSTATE 0x202 /* NT_X86_XSTATE of elf.h */

long ptrace(enum __ptrace_request request, ...)
{
    static long (*next)(int, ...);
    static char whole[1 << 16];
    va_list arguments;

    va_start(arguments, request);
    long process = va_arg(arguments, long);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);
    if (!next)
        next = dlsym(RTLD_NEXT, "ptrace");
    if (request == PTRACE_SETREGSET && (long)address == XSTATE) {
        struct iovec given = *(struct iovec *)data, all = {whole, sizeof whole};
        if (next(PTRACE_GETREGSET, process, address, &all) == 0 && given.iov_len < all.iov_len) {
            memcpy(whole, given.iov_base, given.iov_len);
            return next(PTRACE_SETREGSET, process, address, &all);
        }
    }
    return next(request, process, address, data);
}
