//go:build tools

// Package helm names the program, so that go.mod and go.sum hold what it needs.
package helm

import (
	_ "helm.sh/helm/v4/cmd/helm"
)
