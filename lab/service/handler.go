package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// handler answers HTTP and WebSocket. What it was told over /fail, /slow and /memory
// lives here and ends with the process, as a real fault of a real process would.
type handler struct {
	settings
	started     time.Time
	mux         *http.ServeMux
	sickUntil   atomic.Int64 // Unix nanoseconds; health answers 503 before this
	hungUntil   atomic.Int64 // Unix nanoseconds; no request is answered before this
	slowBy      atomic.Int64 // nanoseconds that each answer is held back
	ballast     atomic.Pointer[[]byte]
	socketsDone context.Context // ended when the process is told to end
	close       context.CancelFunc
}

// forever stands for "until the process ends" where a fault was given no time.
const forever = 100 * 365 * 24 * time.Hour

func newHandler(s settings) *handler {
	h := &handler{settings: s, started: time.Now(), mux: http.NewServeMux()}
	h.socketsDone, h.close = context.WithCancel(context.Background())
	if s.failHealth {
		h.sickUntil.Store(time.Now().Add(forever).UnixNano())
	}
	h.mux.HandleFunc("GET /health", h.health)
	h.mux.HandleFunc("GET /call", h.call)
	h.mux.HandleFunc("POST /fail", h.fail)
	h.mux.HandleFunc("POST /slow", h.slow)
	h.mux.HandleFunc("POST /memory", h.memory)
	if s.dataDir != "" {
		store := store{directory: s.dataDir}
		h.mux.HandleFunc("GET /kv/{key}", store.get)
		h.mux.HandleFunc("PUT /kv/{key}", store.put)
	}
	h.mux.HandleFunc("/", h.echo)
	return h
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Orders get through a hang, or it could never be called off.
	ordered := r.Method == http.MethodPost && (r.URL.Path == "/fail" || r.URL.Path == "/slow")
	if hang := time.Until(time.Unix(0, h.hungUntil.Load())); hang > 0 && !ordered {
		wait(r.Context(), hang)
	}
	if delay := time.Duration(h.slowBy.Load()); delay > 0 && !ordered {
		wait(r.Context(), delay)
	}
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		h.socket(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

func wait(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}

func (h *handler) health(w http.ResponseWriter, _ *http.Request) {
	if time.Now().UnixNano() < h.sickUntil.Load() {
		answer(w, http.StatusServiceUnavailable, map[string]any{"status": "failing", "service": h.name})
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"status": "ok", "service": h.name, "version": h.version,
		"uptime_seconds": int(time.Since(h.started).Seconds()),
	})
}

func (h *handler) echo(w http.ResponseWriter, r *http.Request) {
	headers := map[string]string{}
	for name, values := range r.Header {
		headers[name] = strings.Join(values, ", ")
	}
	answer(w, http.StatusOK, map[string]any{
		"service": h.name, "version": h.version, "host": h.host, "method": r.Method,
		"path": r.URL.Path, "query": r.URL.RawQuery, "requested_host": r.Host, "headers": headers,
	})
}

// socket echoes every message until the client leaves or the process is told to end.
func (h *handler) socket(w http.ResponseWriter, r *http.Request) {
	connection, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer connection.CloseNow()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	context.AfterFunc(h.socketsDone, func() {
		_ = connection.Close(websocket.StatusGoingAway, "service ends")
		cancel()
	})
	for {
		kind, message, err := connection.Read(ctx)
		if err != nil {
			return
		}
		if err := connection.Write(ctx, kind, message); err != nil {
			return
		}
	}
}

// call reaches a dependency by http://... or tcp://host:port and says what came back.
func (h *handler) call(w http.ResponseWriter, r *http.Request) {
	target, err := url.Parse(r.URL.Query().Get("url"))
	if err != nil || target.Host == "" {
		answer(w, http.StatusBadRequest, map[string]any{"error": "url=http://host:port/path or url=tcp://host:port"})
		return
	}
	result := map[string]any{"url": target.String(), "ok": false}
	begun := time.Now()
	if target.Scheme == "tcp" {
		connection, err := net.DialTimeout("tcp", target.Host, 3*time.Second)
		if err == nil {
			result["ok"], result["remote"] = true, connection.RemoteAddr().String()
			connection.Close()
		} else {
			result["error"] = err.Error()
		}
	} else {
		client := http.Client{Timeout: 3 * time.Second}
		response, err := client.Get(target.String())
		if err == nil {
			body, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
			response.Body.Close()
			result["ok"], result["status"], result["body"] = response.StatusCode < 400, response.StatusCode, string(body)
		} else {
			result["error"] = err.Error()
		}
	}
	result["ms"] = time.Since(begun).Milliseconds()
	status := http.StatusOK
	if result["ok"] != true {
		status = http.StatusBadGateway
	}
	answer(w, status, result)
}

// fail orders a fault: mode=health, hang or exit, for=DURATION (0s calls it off).
func (h *handler) fail(w http.ResponseWriter, r *http.Request) {
	duration := forever
	if text := r.URL.Query().Get("for"); text != "" {
		parsed, err := time.ParseDuration(text)
		if err != nil {
			answer(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
			return
		}
		duration = parsed
	}
	until := time.Now().Add(duration).UnixNano()
	mode := first(r.URL.Query().Get("mode"), "health")
	switch mode {
	case "health":
		h.sickUntil.Store(until)
	case "hang":
		h.hungUntil.Store(until)
	case "exit":
		fmt.Printf("%s %s: told to exit\n", h.name, h.version)
		time.AfterFunc(20*time.Millisecond, func() { os.Exit(3) })
	default:
		answer(w, http.StatusBadRequest, map[string]any{"error": "mode is health, hang or exit"})
		return
	}
	answer(w, http.StatusOK, map[string]any{"mode": mode, "for": duration.String()})
}

func (h *handler) slow(w http.ResponseWriter, r *http.Request) {
	ms, err := strconv.ParseInt(r.URL.Query().Get("ms"), 10, 32)
	if err != nil || ms < 0 {
		answer(w, http.StatusBadRequest, map[string]any{"error": "ms=MILLISECONDS, 0 calls it off"})
		return
	}
	h.slowBy.Store(ms * int64(time.Millisecond))
	answer(w, http.StatusOK, map[string]any{"ms": ms})
}

// memory holds that many MiB, really touched, until told another number.
func (h *handler) memory(w http.ResponseWriter, r *http.Request) {
	mib, err := strconv.ParseInt(r.URL.Query().Get("mib"), 10, 32)
	if err != nil || mib < 0 || mib > 1024 {
		answer(w, http.StatusBadRequest, map[string]any{"error": "mib=0..1024"})
		return
	}
	ballast := make([]byte, mib<<20)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	h.ballast.Store(&ballast)
	answer(w, http.StatusOK, map[string]any{"mib": mib})
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
