package ext

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// TestCIDInit: cids follow node, cache, core, thread; CPUs that are offline come last, without topology.
func TestCIDInit(t *testing.T) {
	r := newRig(t, rigOptions{topo: "2n1l2c2t"})
	if err := r.m.CPUDown(2); err != nil {
		t.Fatal(err)
	}
	r.run(ms(10))
	tb := fifoTable(r.k)
	r.enable(tb)
	tp := r.m.Topo()
	var last sim.CPU = -1
	for cid := range int32(8) {
		cpu := sim.CPU(r.k.CIDToCPU(cid))
		if got := r.k.CPUToCID(cpu); got != cid {
			t.Errorf("cid %d is CPU %d, which is cid %d", cid, cpu, got)
		}
		topo := r.k.CIDTopo(cid)
		if cid == 7 {
			if cpu != 2 || topo != noCIDTopo {
				t.Errorf("the last cid is CPU %d with %+v, want 2 without topology", cpu, topo)
			}
			continue
		}
		// The topology says what the machine says.
		core, llc, node := sim.CPU(r.k.CIDToCPU(topo.CoreCID)), sim.CPU(r.k.CIDToCPU(topo.LLCCID)), sim.CPU(r.k.CIDToCPU(topo.NodeCID))
		if tp.CPUs[core].Core != tp.CPUs[cpu].Core || tp.CPUs[llc].LLC != tp.CPUs[cpu].LLC || tp.CPUs[node].Node != tp.CPUs[cpu].Node ||
			topo.NodeIdx != tp.CPUs[cpu].Node || topo.CoreCID > cid || topo.LLCCID > topo.CoreCID || topo.NodeCID > topo.LLCCID {
			t.Errorf("cid %d, CPU %d: %+v", cid, cpu, topo)
		}
		if last >= 0 && tp.CPUs[cpu].Node < tp.CPUs[last].Node {
			t.Errorf("cid %d is of node %d, the one before of node %d", cid, tp.CPUs[cpu].Node, tp.CPUs[last].Node)
		}
		last = cpu
	}
}

// reversed makes a table whose cids run against the CPUs.
func reversed(r *rig, tb *ops.Table) *ops.Table {
	n := r.m.NrCPUs()
	init := tb.Init
	tb.CID = true
	tb.Init = func() int32 {
		table := make([]int32, n)
		for i := range table {
			table[i] = int32(n - 1 - i)
		}
		r.k.CIDOverride(table, uint32(4*n))
		if init != nil {
			return init()
		}
		return 0
	}
	return tb
}

// TestCIDForm: what a policy of the cid form is told and says are cids.
func TestCIDForm(t *testing.T) {
	r := newRig(t, rigOptions{topo: "1n1l4c1t"})
	seen := map[string]bool{}
	bad := func(what string, cid int32) {
		if got := r.k.ThisCID(); cid != got {
			t.Errorf("%s is told cid %d on cid %d", what, cid, got)
		}
		seen[what] = true
	}
	tb := reversed(r, fifoTable(r.k))
	tb.Flags = ops.FlagKeepBuiltinIdle
	tb.SelectCPU = func(p *sim.Task, prev sim.CPU, f uint64) sim.CPU {
		if int32(prev) != r.k.TaskCID(p) {
			t.Errorf("select_cid is told cid %d, the task is on %d", prev, r.k.TaskCID(p))
		}
		seen["select_cid"] = true
		return sim.CPU(r.k.CPUToCID(1)) // always CPU 1
	}
	tb.Enqueue = func(p *sim.Task, f uint64) {
		if p.Comm == "pinned" {
			r.k.DSQInsert(p, ops.DSQLocal, 0, f)
			return
		}
		if f&ops.EnqWakeup != 0 && p.CPU() != 1 {
			t.Errorf("enqueued on CPU %d, want 1", p.CPU())
		}
		r.k.DSQInsert(p, ops.DSQLocalOn|uint64(r.k.CPUToCID(2)), ops.SliceDfl, f)
	}
	tb.Dispatch = func(cid sim.CPU, _ *sim.Task) { bad("dispatch", int32(cid)) }
	tb.UpdateIdle = func(cid sim.CPU, _ bool) { bad("update_idle", int32(cid)) }
	ran := map[sim.CPU]bool{}
	tb.Running = func(p *sim.Task) {
		ran[p.CPU()] = true
		if r.k.CIDCurr(r.k.ThisCID()) == nil || r.k.NrCIDs() != 4 || r.k.NrOnlineCIDs() != 4 {
			t.Error("cid_curr, nr_cids, nr_online_cids")
		}
	}
	r.enable(tb)
	r.spawn(sim.TaskSpec{Comm: "t", Behavior: napper()})
	r.run(ms(100))
	if e := r.k.ExitInfo(); e != nil {
		t.Fatal(e.Msg)
	}
	if diff := cmp.Diff(map[sim.CPU]bool{2: true}, ran); diff != "" {
		t.Errorf("ran on (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]bool{"select_cid": true, "dispatch": true, "update_idle": true}, seen); diff != "" {
		t.Error(diff)
	}
	var mask [1]uint64
	r.k.CIDMask(mask[:], []uint64{0b0011})
	if mask[0] != 0b1100 {
		t.Errorf("cids of CPUs 0 and 1: %#b", mask[0])
	}
	r.k.Disable(ops.ExitUnreg)
	// The cpu form again.
	tb = fifoTable(r.k)
	tb.SelectCPU = func(p *sim.Task, prev sim.CPU, f uint64) sim.CPU { return 3 }
	r.enable(tb)
	r.run(ms(200))
	if e := r.k.ExitInfo(); e != nil {
		t.Fatal(e.Msg)
	}
}

func cidRules() []ruleCase {
	cid := func(edit func(r *rig, tb *ops.Table)) func(r *rig) *ops.Table {
		return with(func(r *rig, tb *ops.Table) {
			tb.CID = true
			edit(r, tb)
		})
	}
	running := func(f func(r *rig)) func(r *rig) *ops.Table {
		return cid(func(r *rig, tb *ops.Table) { tb.Running = func(*sim.Task) { f(r) } })
	}
	cases := []ruleCase{
		{
			name: "select_cid of a cid that does not exist", topo: "1n1l2c1t",
			policy: cid(func(r *rig, tb *ops.Table) {
				tb.SelectCPU = func(*sim.Task, sim.CPU, uint64) sim.CPU { return 2 }
			}),
			msg: "invalid cid 2",
		},
		{
			name: "select_cid of a negative number", topo: "1n1l2c1t",
			policy: cid(func(r *rig, tb *ops.Table) {
				tb.SelectCPU = func(*sim.Task, sim.CPU, uint64) sim.CPU { return -5 }
			}),
			msg: "invalid CPU -5 from ops.select_cpu()",
		},
		{
			name: "LOCAL_ON a cid that does not exist",
			policy: cid(func(r *rig, tb *ops.Table) {
				tb.Enqueue = func(t *sim.Task, f uint64) { r.k.DSQInsert(t, ops.DSQLocalOn|7, 0, f) }
			}),
			msg: "invalid cid 7",
		},
		{
			name: "cid_override of the wrong size",
			policy: cid(func(r *rig, tb *ops.Table) {
				tb.Init = func() int32 { r.k.CIDOverride([]int32{0, 1}, 8); return r.k.CreateDSQ(0, -1) }
			}),
			msg: "scx_bpf_cid_override: expected 4 bytes, got 8",
		},
		{
			name: "cid_override with a double", topo: "1n1l2c1t",
			policy: cid(func(r *rig, tb *ops.Table) {
				tb.Init = func() int32 { r.k.CIDOverride([]int32{1, 1}, 8); return r.k.CreateDSQ(0, -1) }
			}),
			msg: "cid 1 assigned to multiple cpus",
		},
		{
			name: "cid_override with a cid out of range", topo: "1n1l2c1t",
			policy: cid(func(r *rig, tb *ops.Table) {
				tb.Init = func() int32 { r.k.CIDOverride([]int32{0, 2}, 8); return r.k.CreateDSQ(0, -1) }
			}),
			msg: "invalid cid 2",
		},
		{
			name: "cid_override that is one",
			policy: cid(func(r *rig, tb *ops.Table) {
				tb.Init = func() int32 { r.k.CIDOverride([]int32{0}, 4); return r.k.CreateDSQ(0, -1) }
			}),
		},
	}
	for _, c := range []struct {
		name string
		f    func(r *rig, cid int32)
	}{
		{"cid_to_cpu", func(r *rig, cid int32) { r.k.CIDToCPU(cid) }},
		{"cid_topo", func(r *rig, cid int32) { r.k.CIDTopo(cid) }},
		{"kick_cid", func(r *rig, cid int32) { r.k.KickCID(cid, 0) }},
		{"cid_curr", func(r *rig, cid int32) { r.k.CIDCurr(cid) }},
		{"cidperf_cap", func(r *rig, cid int32) { r.k.CIDPerfCap(cid) }},
		{"cidperf_cur", func(r *rig, cid int32) { r.k.CIDPerfCur(cid) }},
		{"cidperf_set", func(r *rig, cid int32) { r.k.CIDPerfSet(cid, 512) }},
	} {
		cases = append(cases,
			ruleCase{name: c.name, policy: running(func(r *rig) { c.f(r, 0) })},
			ruleCase{name: c.name + " of a cid that does not exist", policy: running(func(r *rig) { c.f(r, 9) }), msg: "invalid cid 9"})
	}
	return append(cases,
		ruleCase{name: "cpu_to_cid of a CPU that does not exist", policy: running(func(r *rig) { r.k.CPUToCID(3) }), msg: "invalid CPU 3"},
		ruleCase{name: "cidperf_set above one", policy: running(func(r *rig) { r.k.CIDPerfSet(0, 1025) }), msg: "Invalid cpuperf target 1025 for CPU 0"})
}

func TestCIDRules(t *testing.T) {
	for _, tc := range cidRules() {
		t.Run(tc.name, func(t *testing.T) { tc.test(t) })
	}
	r := newRig(t, rigOptions{})
	r.k.setup()
	if got := fmt.Sprint(r.k.ThisCID(), r.k.CIDToCPU(0), r.k.CPUToCID(0), r.k.CIDTopo(0), r.k.CIDCurr(0)); got != fmt.Sprint(-22, -22, -22, noCIDTopo, (*sim.Task)(nil)) {
		t.Errorf("without a policy: %s", got)
	}
}
