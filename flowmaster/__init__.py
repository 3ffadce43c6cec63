"""The engine: everything that finds out, compares and changes. It knows no Pulumi program.

The rooms, each importing only those after it: cli; adopt, heal, migrate; report; drift; compose; host; cluster; render;
(the top-level package config); compare. `docs/architecture.md` says what each holds; `make check` checks the order.
"""
