//go:build tools

// Package traefik names the program, so that go.mod and go.sum hold what it needs.
package traefik

import (
	_ "github.com/traefik/traefik/v3/cmd/traefik"
)
