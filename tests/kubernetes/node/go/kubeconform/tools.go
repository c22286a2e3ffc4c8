//go:build tools

// Package kubeconform names the program, so that go.mod and go.sum hold what it needs.
package kubeconform

import (
	_ "github.com/yannh/kubeconform/cmd/kubeconform"
)
