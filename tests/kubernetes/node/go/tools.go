//go:build tools

// Package node names the programs of the test node, so that go.mod and go.sum hold what they need.
package node

import (
	_ "github.com/ray-project/kuberay/ray-operator"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-proxy"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
