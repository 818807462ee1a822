package recipes

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
)

// arenaLib does what the loaders of schedulers with the arena library do (ArenaLib of scx_arena): arena_init with the size of a
// task's context, arena_topology_init with the most children of each level, then for every node of the machine's tree, from
// the top down, a mask that user space fills in the arena and hands over.
func (x *runner) arenaLib(task any) error {
	size, ok := task.(int64)
	if name, isName := task.(string); isName {
		t, err := x.l.Type(name)
		if err != nil {
			return err
		}
		n, err := btf.Sizeof(t)
		if err != nil {
			return err
		}
		size, ok = int64(n), true
	}
	if !ok || size <= 0 {
		return fmt.Errorf("arena_lib: task: %v is neither a type nor a size", task)
	}
	run := func(prog string, args map[string]any) (map[string]uint64, error) {
		r0, c, err := x.runProg(prog, args)
		if err == nil && r0 != 0 {
			err = fmt.Errorf("arena_lib: program %s returned %d", prog, r0)
		}
		if err != nil {
			return nil, err
		}
		out := map[string]uint64{}
		if s, ok := c.Type.(*btf.Struct); ok {
			for _, m := range s.Members {
				if at, err := c.At("." + m.Name); err == nil && len(at.B) <= 8 {
					out[m.Name] = at.Uint()
				}
			}
		}
		return out, nil
	}
	args, err := x.argNames("arena_init")
	if err != nil {
		return err
	}
	init := map[string]any{}
	for _, a := range args {
		switch a {
		case "static_pages":
			init[a] = 8
		case "task_ctx_size":
			init[a] = size
		default:
			return fmt.Errorf("arena_lib: program arena_init has the argument %q, which is not known", a)
		}
	}
	if _, err := run("arena_init", init); err != nil {
		return err
	}
	topo := x.env.Machine.Topo()
	type node struct {
		id   int32
		cpus []int32
	}
	levels := [5][]node{}
	all := make([]int32, len(topo.CPUs))
	for i := range all {
		all[i] = int32(i)
	}
	levels[0] = []node{{0, all}}
	for i := range int32(topo.Nodes) {
		levels[1] = append(levels[1], node{i, topo.Node(i).CPUs})
	}
	for i := range int32(topo.LLCs) {
		levels[2] = append(levels[2], node{i, topo.LLC(i).CPUs})
	}
	for i := range int32(topo.Cores) {
		levels[3] = append(levels[3], node{i, topo.Core(i).CPUs})
	}
	for i := range all {
		levels[4] = append(levels[4], node{int32(i), all[i : i+1]})
	}
	if _, err := x.argNames("arena_topology_init"); err == nil {
		children := make([]any, 5)
		for l := range levels {
			most := 0
			if l < 4 {
				for _, n := range levels[l] {
					count := 0
					for _, c := range levels[l+1] {
						if contains(n.cpus, c.cpus[0]) {
							count++
						}
					}
					most = max(most, count)
				}
			}
			children[l] = most
		}
		if _, err := run("arena_topology_init", map[string]any{"max_children": children}); err != nil {
			return err
		}
	}
	words := (len(topo.CPUs) + 63) / 64
	for _, level := range levels {
		for _, n := range level {
			m, err := run("arena_alloc_mask", map[string]any{})
			if err != nil {
				return err
			}
			bits := make([]byte, 8*words)
			for _, c := range n.cpus {
				w := bits[c/64*8:]
				binary.LittleEndian.PutUint64(w, binary.LittleEndian.Uint64(w)|1<<(c%64))
			}
			// The address is that of the words.
			if err := x.l.WriteArena(m["bitmap"], bits); err != nil {
				return err
			}
			if _, err := run("arena_topology_node_init", map[string]any{"bitmap": m["bitmap"], "id": n.id}); err != nil {
				return err
			}
		}
	}
	return nil
}

func contains(list []int32, v int32) bool {
	for _, e := range list {
		if e == v {
			return true
		}
	}
	return false
}

// argNames are the members of a SYSCALL program's argument.
func (x *runner) argNames(prog string) ([]string, error) {
	t, err := x.l.ArgType(prog)
	if err != nil {
		return nil, err
	}
	s, ok := t.(*btf.Struct)
	if !ok {
		return nil, fmt.Errorf("arena_lib: program %s: %s is no struct", prog, elf.TypeName(t))
	}
	var names []string
	for _, m := range s.Members {
		names = append(names, m.Name)
	}
	return names, nil
}
