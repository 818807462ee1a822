package recipes

import (
	"fmt"
	"math/big"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/schedsim/schedsim/sim/topo"
)

// machineNames are the names of the machine that expressions and scripts see.
var machineNames = []string{"nr_cpus", "nr_cpu_ids", "nr_cores", "nr_llcs", "nr_nodes", "smt", "cpus", "cores", "llcs", "nodes", "max_capacity", "sibling_cpus", "by_capacity",
	"same_capacity", "hz", "mask", "words", "distance", "level", "fill", "US", "MS", "S", "U32_MAX", "U64_MAX", "struct"}

// machine are their values for a topology.
func machine(t *topo.Topology, hz int) starlark.StringDict {
	d := starlark.StringDict{
		"nr_cpus": starlark.MakeInt(len(t.CPUs)), "nr_cpu_ids": starlark.MakeInt(len(t.CPUs)), "nr_cores": starlark.MakeInt(t.Cores),
		"nr_llcs": starlark.MakeInt(t.LLCs), "nr_nodes": starlark.MakeInt(t.Nodes), "hz": starlark.MakeInt(hz),
		"US": starlark.MakeInt(1000), "MS": starlark.MakeInt(1_000_000), "S": starlark.MakeInt(1_000_000_000),
		"U32_MAX": starlark.MakeInt64(1<<32 - 1), "U64_MAX": starlark.MakeBigInt(new(big.Int).SetUint64(1<<64 - 1)),
		"struct": starlark.NewBuiltin("struct", starlarkstruct.Make),
	}
	var cpus []starlark.Value
	smt, low, high := false, topo.FullCapacity, int32(0)
	big := coreTypes(t)
	for _, c := range t.CPUs {
		sib := t.Siblings(c.ID).CPUs
		smt = smt || len(sib) > 1
		low, high = min(low, int(c.Capacity)), max(high, c.Capacity)
		cpus = append(cpus, object("cpu", starlark.StringDict{"id": num(c.ID), "core": num(c.Core), "llc": num(c.LLC), "node": num(c.Node),
			"thread": num(c.Thread), "capacity": num(c.Capacity), "siblings": ints(sib), "big": starlark.Bool(big[c.ID] > 0), "turbo": starlark.Bool(big[c.ID] > 1)}))
	}
	var cores, llcs, nodes []starlark.Value
	for id := range int32(t.Cores) {
		s := t.Core(id).CPUs
		cores = append(cores, object("core", starlark.StringDict{"id": num(id), "llc": num(t.CPUs[s[0]].LLC), "node": num(t.CPUs[s[0]].Node), "cpus": ints(s)}))
	}
	for id := range int32(t.LLCs) {
		s := t.LLC(id).CPUs
		llcs = append(llcs, object("llc", starlark.StringDict{"id": num(id), "node": num(t.CPUs[s[0]].Node), "cpus": ints(s), "cores": ints(ids(t, s, func(c topo.Info) int32 { return c.Core }))}))
	}
	for id := range int32(t.Nodes) {
		s := t.Node(id).CPUs
		nodes = append(nodes, object("node", starlark.StringDict{"id": num(id), "cpus": ints(s), "llcs": ints(ids(t, s, func(c topo.Info) int32 { return c.LLC }))}))
	}
	d["cpus"], d["cores"], d["llcs"], d["nodes"] = list(cpus), list(cores), list(llcs), list(nodes)
	d["smt"], d["max_capacity"], d["same_capacity"] = starlark.Bool(smt), num(high), starlark.Bool(int32(low) == high)
	d["sibling_cpus"], d["by_capacity"] = ints(siblings(t)), ints(byCapacity(t))
	d["mask"] = starlark.NewBuiltin("mask", mask)
	d["words"] = starlark.MakeInt(t.Words())
	d["fill"] = starlark.NewBuiltin("fill", fill)
	d["distance"] = starlark.NewBuiltin("distance", func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var x, y int
		if err := starlark.UnpackArgs(b.Name(), args, kw, "a", &x, "b", &y); err != nil {
			return nil, err
		}
		if x < 0 || y < 0 || x >= t.Nodes || y >= t.Nodes {
			return nil, fmt.Errorf("distance(%d, %d): there are %d nodes", x, y, t.Nodes)
		}
		return starlark.MakeInt(t.NodeDistance(int32(x), int32(y))), nil
	})
	d["level"] = starlark.NewBuiltin("level", func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var x, y int
		if err := starlark.UnpackArgs(b.Name(), args, kw, "a", &x, "b", &y); err != nil {
			return nil, err
		}
		if x < 0 || y < 0 || x >= len(t.CPUs) || y >= len(t.CPUs) {
			return nil, fmt.Errorf("level(%d, %d): there are %d CPUs", x, y, len(t.CPUs))
		}
		return starlark.MakeInt(int(t.Level(topo.CPU(x), topo.CPU(y)))), nil
	})
	for _, name := range machineNames {
		if d[name] == nil {
			panic("BUG: " + name)
		}
	}
	d.Freeze()
	return d
}

// coreTypes tells of each CPU whether it is little (0), big (1), or the fastest of those that are not alike (2): CoreType of
// scx_utils, which goes by the capacity.
func coreTypes(t *topo.Topology) []int {
	sum, low, high := 0, topo.FullCapacity, 0
	for _, c := range t.CPUs {
		sum, low, high = sum+int(c.Capacity), min(low, int(c.Capacity)), max(high, int(c.Capacity))
	}
	avg := sum / len(t.CPUs)
	out := make([]int, len(t.CPUs))
	for i, c := range t.CPUs {
		switch {
		case avg < high && int(c.Capacity) == high:
			out[i] = 2
		case high*10 < low*13 || int(c.Capacity) >= avg:
			out[i] = 1
		}
	}
	return out
}

// siblings gives each CPU one other of its core, -1 where there is none (Topology::sibling_cpus of scx_utils).
func siblings(t *topo.Topology) []int32 {
	out := make([]int32, len(t.CPUs))
	for i := range out {
		out[i] = -1
	}
	for core := range int32(t.Cores) {
		if s := t.Core(core).CPUs; len(s) > 1 {
			out[s[0]], out[s[1]] = s[1], s[0]
		}
	}
	return out
}

// byCapacity are the CPUs, the fastest first.
func byCapacity(t *topo.Topology) []int32 {
	out := make([]int32, len(t.CPUs))
	for i := range out {
		out[i] = int32(i)
	}
	slices.SortStableFunc(out, func(a, b int32) int { return int(t.CPUs[b].Capacity) - int(t.CPUs[a].Capacity) })
	return out
}

func num(v int32) starlark.Value { return starlark.MakeInt(int(v)) }

func list(v []starlark.Value) starlark.Value { return starlark.NewList(v) }

func object(kind string, d starlark.StringDict) starlark.Value {
	return starlarkstruct.FromStringDict(starlark.String(kind), d)
}

// ids are the different ids of CPUs in order of appearance.
func ids(t *topo.Topology, cpus []topo.CPU, id func(topo.Info) int32) []int32 {
	var out []int32
	seen := map[int32]bool{}
	for _, c := range cpus {
		if v := id(t.CPUs[c]); !seen[v] {
			seen[v], out = true, append(out, v)
		}
	}
	return out
}

// mask makes a list of 64-bit words of a list of CPUs or other numbers.
func mask(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var bits starlark.Iterable
	n := 0
	if err := starlark.UnpackArgs(b.Name(), args, kw, "bits", &bits, "words?", &n); err != nil {
		return nil, err
	}
	words := make([]uint64, n)
	it := bits.Iterate()
	defer it.Done()
	var x starlark.Value
	for it.Next(&x) {
		bit, err := starlark.AsInt32(x)
		if err != nil || bit < 0 || bit >= 1<<20 {
			return nil, fmt.Errorf("mask: bit %s", x)
		}
		for bit/64 >= len(words) {
			if n > 0 {
				return nil, fmt.Errorf("mask: bit %d does not fit %d words", bit, n)
			}
			words = append(words, 0)
		}
		words[bit/64] |= 1 << (bit % 64)
	}
	out := make([]starlark.Value, len(words))
	for i, w := range words {
		out[i] = fromGo(w)
	}
	return starlark.NewList(out), nil
}

// fill is a list of n times a value.
func fill(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var v starlark.Value
	var n int
	if err := starlark.UnpackArgs(b.Name(), args, kw, "value", &v, "n", &n); err != nil {
		return nil, err
	}
	if n < 0 || n > 1<<20 {
		return nil, fmt.Errorf("fill: %d elements", n)
	}
	out := make([]starlark.Value, n)
	for i := range out {
		out[i] = v
	}
	return starlark.NewList(out), nil
}
