package ext

import (
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/kobj"
)

// AnyDistribute follows bpf_cpumask_any_and_distribute (and, with a twice, bpf_cpumask_any_distribute): some CPU that is
// in both masks, sim.NoCPU if there is none. Successive calls on a CPU go round; the built-in picks take part in that.
func (k *Kernel) AnyDistribute(a, b kobj.CPUMask) sim.CPU {
	k.setup()
	return k.anyAndDistribute(a.Words(), b.Words())
}
