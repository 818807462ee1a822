package topo_test

import (
	"fmt"

	"github.com/schedsim/schedsim/sim/topo"
)

func ExampleParse() {
	t, err := topo.Parse("2n1l2c2t")
	if err != nil {
		panic(err)
	}
	fmt.Println("CPUs:", len(t.CPUs))
	fmt.Println("threads of core 1:", t.Core(1).CPUs)
	fmt.Println("node 1:", t.Node(1).CPUs)
	_, err = topo.Parse("8c")
	fmt.Println(err)
	// Output:
	// CPUs: 8
	// threads of core 1: [1 5]
	// node 1: [2 3 6 7]
	// topology "8c": no number followed by 'n' at "8c"; want nodes, last-level caches per node, cores per cache and threads per core, such as "1n2l4c2t" (16 CPUs)
}
