package archtest

// Rule says what the package at Path (relative to the module) may import of this module. "..." at the end of a path
// stands for everything below it. Test files may import more: TestAlso.
type Rule struct {
	Path     string
	May      []string
	TestAlso []string
}

// Rules is the architecture, from the machine upwards.
//
// Two bans carry it: vm imports nothing of sched_ext or the machine, and only vm, sched/bpf, kfuncs, internal/runner and
// cmd import vm (vm/abi excepted).
var Rules = []Rule{
	{Path: "internal/eventq"},
	{Path: "internal/archtest"},
	{Path: "internal/cdecl"},
	{Path: "internal/editdist"},
	{Path: "sim/topo"},
	{Path: "sim/kobj"},
	{Path: "sim", May: []string{"internal/eventq", "sim/kobj", "sim/topo"}, TestAlso: []string{"sched/class/idle", "sched/class/fair"}},

	{Path: "vm/ir"},
	{Path: "vm/abi", May: []string{"vm/ir"}},
	{Path: "vm/mem"},
	{Path: "vm/keep"},
	{Path: "vm/elf", May: []string{"internal/editdist"}},
	{Path: "vm/link", May: []string{"vm/elf", "vm/ir", "vm/abi"}},
	{Path: "vm/progtype", May: []string{"vm/abi", "vm/helpers", "vm/verifier"}},
	{Path: "vm/verifier", May: []string{"vm/abi", "vm/elf", "vm/link", "vm/ir"}, TestAlso: []string{"ops/kernels", "sched/bpf/attach"}},
	{Path: "vm/maps", May: []string{"vm/abi", "vm/mem"}},
	{Path: "vm/objects", May: []string{"vm/abi", "vm/maps"}, TestAlso: []string{"vm/mem"}},
	{Path: "vm/helpers", May: []string{"vm/ir", "vm/abi", "vm/ir", "vm/mem", "vm/maps"}},
	{Path: "vm/engine", May: []string{"vm/ir", "vm/abi", "vm/mem"}},
	{Path: "vm/engine/raw", May: []string{"vm/ir", "vm/engine"}},
	{Path: "vm/engine/enginetest", May: []string{"vm/ir", "vm/abi", "vm/mem", "vm/engine", "vm/engine/raw"}},
	{Path: "vm/interp", May: []string{"vm/ir", "vm/abi", "vm/mem", "vm/engine"}, TestAlso: []string{"vm/engine/enginetest"}},
	{Path: "vm/jit/native", May: []string{"vm/ir", "vm/abi", "vm/mem", "vm/engine", "vm/keep"}},
	{Path: "vm/jit/amd64", May: []string{"vm/ir", "vm/abi", "vm/mem", "vm/engine", "vm/jit/flow", "vm/jit/native"}, TestAlso: []string{"vm/interp", "vm/engine/enginetest"}},
	{Path: "vm/jit/flow", May: []string{"vm/ir", "vm/abi", "vm/mem", "vm/engine"}},
	{Path: "vm/jit/arm64", May: []string{"vm/ir", "vm/abi", "vm/mem", "vm/engine", "vm/jit/flow", "vm/jit/native"}, TestAlso: []string{"vm/interp", "vm/engine/enginetest"}},
	{Path: "vm/jit", May: []string{"vm/jit/...", "vm/ir", "vm/abi", "vm/mem", "vm/engine"}, TestAlso: []string{"vm/interp", "vm/engine/enginetest"}},
	{Path: "vm/sys", May: []string{"vm", "vm/..."}},
	{Path: "vm/loader", May: []string{"vm/sys", "vm/link", "vm/elf", "vm/ir", "vm/abi", "vm/maps", "vm/keep"}, TestAlso: []string{"vm", "vm/...", "ops/kernels", "examples"}},
	{Path: "vm/listing", May: []string{"vm/elf", "vm/link", "vm/ir", "vm/engine", "vm/maps", "vm/helpers", "internal/cdecl"},
		TestAlso: []string{"ops/kernels", "vm/jit", "vm/mem", "vm/abi"}},
	{Path: "vm", May: []string{"vm/..."}},

	{Path: "ops", May: []string{"sim", "vm/abi"}, TestAlso: []string{"ops/kernels"}},
	{Path: "ops/kernels", May: []string{"vm/abi", "ops/kernels/...", "internal/cdecl"}},
	{Path: "ops/kernels/v6_16"},
	{Path: "ops/kernels/v6_18"},
	{Path: "ops/kernels/v7_2"},
	{Path: "ops/kernels/v7_3"},

	{Path: "sched/class/idle", May: []string{"sim", "sim/kobj"}, TestAlso: []string{"sim/topo"}},
	{Path: "sched/class/fair", May: []string{"sim", "sim/kobj", "sim/topo"}, TestAlso: []string{"sched/class/idle"}},
	{Path: "sched/class/ext", May: []string{"sim", "sim/kobj", "sim/topo", "ops"}, TestAlso: []string{"sched/...", "ops/kernels"}},
	{Path: "sched/class/rt", May: []string{"sim", "sim/kobj", "sim/topo"}, TestAlso: []string{"sched/class/..."}},
	{Path: "sched/class/dl", May: []string{"sim", "sim/kobj", "sim/topo"}, TestAlso: []string{"sched/class/..."}},
	{Path: "sched/class", May: []string{"sim", "sched/class/..."}, TestAlso: []string{"sched/...", "ops", "sim/topo"}},
	{Path: "sched", May: []string{"sim", "ops", "sched/class/ext"}},
	{Path: "sched/fifo", May: []string{"sim", "ops", "sched", "sched/class/ext"}, TestAlso: []string{"sched/..."}},
	{Path: "sched/rr", May: []string{"sim", "ops", "sched", "sched/class/ext"}, TestAlso: []string{"sched/..."}},
	{Path: "sched/vtime", May: []string{"sim", "ops", "sched", "sched/class/ext"}, TestAlso: []string{"sched/..."}},
	{Path: "sched/builtin", May: []string{"sched", "sched/fifo", "sched/rr", "sched/vtime"},
		TestAlso: []string{"sched/...", "sim", "sim/topo", "ops"}},
	{Path: "kfuncs", May: []string{"sim", "sim/kobj", "ops", "ops/kernels", "sched/class/ext", "vm/abi", "vm/ir", "vm/helpers", "vm/link", "vm/elf"},
		TestAlso: []string{"sim/topo", "sched/...", "vm/..."}},
	{Path: "sched/bpf/agent", May: []string{"sim", "sim/topo", "ops/kernels", "vm/abi", "vm/elf", "vm/loader", "vm/maps"}},
	{Path: "sched/bpf/agent/userland", May: []string{"sim", "sched/bpf/agent", "vm/abi", "vm/elf"},
		TestAlso: []string{"internal/runner", "workloads", "examples", "sched/bpf", "reports", "sched/bpf/agent/recipes"}},
	{Path: "sched/bpf/agent/recipes", May: []string{"sim", "sim/topo", "ops/kernels", "sched/bpf/agent", "sched/bpf/agent/userland", "vm/abi", "vm/elf"},
		TestAlso: []string{"sched/class"}},
	{Path: "sched/bpf/attach", May: []string{"ops", "ops/kernels", "kfuncs", "vm/abi", "vm/elf", "vm/link", "vm/helpers", "vm/progtype", "vm/verifier"},
		TestAlso: []string{"sched/bpf", "examples", "vm/ir"}},
	{Path: "sched/bpf", May: []string{"sim", "sim/kobj", "ops", "ops/kernels", "sched", "sched/class/ext", "sched/bpf/agent", "sched/bpf/attach", "kfuncs", "vm/..."},
		TestAlso: []string{"sched/...", "sim/topo", "internal/runner", "workloads", "examples"}},

	{Path: "machines", May: []string{"sim"}},
	{Path: "workloads/gen", May: []string{"sim"}},
	{Path: "workloads/rtapp", May: []string{"internal/editdist", "sim", "workloads/gen"}},
	{Path: "workloads", May: []string{"sim", "sim/kobj", "sim/topo", "workloads/..."}, TestAlso: []string{"sched/..."}},
	{Path: "reports", May: []string{"sim", "ops", "workloads"}, TestAlso: []string{"sched/...", "sim/topo"}},

	{Path: "internal/runner", May: []string{"..."}},
	{Path: "internal/fidelity"},
	{Path: "internal/fidelity/exits", TestAlso: []string{"internal/runner", "ops", "sched/bpf", "sim", "sim/topo", "workloads"}},
	{Path: "internal/fidelity/play", May: []string{"..."}},
	{Path: "internal/ladder", May: []string{"..."}},
	{Path: "internal/verdict", May: []string{"ops", "ops/kernels", "sched/bpf/attach", "vm/elf", "vm/ir", "vm/link", "vm/verifier"}},
	{Path: "internal/cmd/gentarget", May: []string{"ops/kernels/..."}},
	{Path: "examples"},
	{Path: "examples/bugs", TestAlso: []string{"..."}},
	{Path: "examples/governor", May: []string{"vm/abi", "vm/elf", "vm/link", "vm/loader", "vm/mem", "vm/sys"}},
	{Path: "cmd/schedsim", May: []string{"..."}},
	{Path: "cmd/bpf-conformance-plugin", May: []string{"vm", "vm/..."}},
	{Path: "benchmarks", May: []string{"..."}},
	{Path: "benchmarks/bpf", TestAlso: []string{"..."}},
	{Path: "benchmarks/lab", May: []string{"benchmarks/lab/...", "internal/fidelity", "sim", "workloads"}},
	{Path: "benchmarks/lab/job", May: []string{"internal/fidelity"}},
	{Path: "benchmarks/lab/plan", May: []string{"sim", "workloads", "workloads/..."}},
	{Path: "benchmarks/lab/permissions"},
	{Path: "benchmarks/lab/qemu"},
	{Path: "benchmarks/lab/guest", May: []string{"benchmarks/lab/job", "internal/fidelity"}, TestAlso: []string{"benchmarks/lab/plan", "sim"}},
	{Path: "internal/hostbpf", TestAlso: []string{"vm/...", "kfuncs", "ops/kernels", "sched/bpf/attach"}},
}
