package main

import (
	"os"
	"strings"
)

// settings is the environment, read once. Nothing else in the program looks at it.
type settings struct {
	name       string   // SERVICE_NAME
	version    string   // VERSION, else IMAGE_TAG; set by the image
	mode       string   // MODE: http (default), arangodb, postgres, redis
	ports      []string // PORT, a list separated by commas
	dataDir    string   // DATA_DIR; empty: no key/value store
	host       string   // the pod's or container's name
	crash      bool     // CRASH=1: say why and exit 1 at the start
	failHealth bool     // FAIL_HEALTH=1: /health answers 503 from the start
}

func newSettings(get func(string) string) settings {
	host, _ := os.Hostname()
	mode := first(get("MODE"), "http")
	usual := map[string]string{"http": "8080", "arangodb": "8529", "postgres": "5432", "redis": "6379"}
	return settings{
		name:       first(get("SERVICE_NAME"), mode),
		version:    first(get("VERSION"), get("IMAGE_TAG"), "unknown"),
		mode:       mode,
		ports:      strings.Split(first(get("PORT"), usual[mode], "8080"), ","),
		dataDir:    get("DATA_DIR"),
		host:       host,
		crash:      get("CRASH") == "1",
		failHealth: get("FAIL_HEALTH") == "1",
	}
}

func first(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
