package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
)

// store keeps one file a key. A write is acknowledged only when it is on the disk,
// so that a test may kill the process at any point and ask for what was acknowledged.
type store struct{ directory string }

var validKey = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

const largestValue = 1 << 20

func (s store) path(w http.ResponseWriter, r *http.Request) (string, bool) {
	key := r.PathValue("key")
	if !validKey.MatchString(key) {
		answer(w, http.StatusBadRequest, map[string]any{"error": "a key is letters, digits, dot, dash, underscore"})
		return "", false
	}
	return filepath.Join(s.directory, "kv", key), true
}

func (s store) get(w http.ResponseWriter, r *http.Request) {
	path, ok := s.path(w, r)
	if !ok {
		return
	}
	value, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		answer(w, http.StatusNotFound, map[string]any{"error": "no such key"})
		return
	}
	if err != nil {
		answer(w, http.StatusInternalServerError, map[string]any{"error": err.Error()})
		return
	}
	_, _ = w.Write(value)
}

func (s store) put(w http.ResponseWriter, r *http.Request) {
	path, ok := s.path(w, r)
	if !ok {
		return
	}
	value, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestValue))
	if err == nil {
		err = writeDurably(path, value)
	}
	if err != nil {
		answer(w, http.StatusInternalServerError, map[string]any{"error": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]any{"stored": len(value)})
}

// writeDurably replaces path whole or not at all: temporary file, fsync, rename, fsync of the folder.
func writeDurably(path string, value []byte) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, ".writing-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err = file.Write(value); err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return err
	}
	directory, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer directory.Close()
	return directory.Sync()
}
