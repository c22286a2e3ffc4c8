// The enforcement of network policies on the test node: the controller that k3s 1.0 carries, as it is.
package main

import (
	"flag"
	"log"
	"time"

	"github.com/rancher/k3s/pkg/agent/netpol"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "file of the node's administrator")
	node := flag.String("node", "", "name of the node whose pods are looked after")
	period := flag.Duration("period", 2*time.Second, "time between two passes over all policies")
	flag.Parse()
	settings, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(settings)
	if err != nil {
		log.Fatal(err)
	}
	forever := make(chan struct{})
	controller, err := netpol.NewNetworkPolicyController(forever, client, *period, *node)
	if err != nil {
		log.Fatal(err)
	}
	controller.Run(forever)
}
