package topo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// place is where a CPU is, by ids that need not be dense.
type place struct {
	Node     int `json:"node"`
	LLC      int `json:"llc"`
	Core     int `json:"core"`
	Capacity int `json:"capacity"`
}

// ParseJSON reads a machine as a list of its CPUs:
//
//	{"cpus": [{"node": 0, "llc": 0, "core": 0, "capacity": 1024}, ...]}
//
// Ids may be any numbers of one's own: what has the same number belongs together, wherever it is in the list. A capacity left
// out is the full one.
func ParseJSON(name string, data []byte) (*Topology, error) {
	var in struct {
		CPUs []place `json:"cpus"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, fmt.Errorf("topology %s: %s", name, strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("topology %s: text after the machine", name)
	}
	return fromList(name, in.CPUs)
}

// fromList builds the machine of a list of CPUs, which get the numbers of their places in it.
func fromList(name string, list []place) (*Topology, error) {
	if len(list) < 1 || len(list) > MaxCPUs {
		return nil, fmt.Errorf("topology %s: %d CPUs, want 1 to %d", name, len(list), MaxCPUs)
	}
	t := &Topology{Name: name}
	nodes, llcs, cores := map[int]int32{}, map[int]int32{}, map[int]int32{}
	dense := func(ids map[int]int32, id int) int32 {
		n, ok := ids[id]
		if !ok {
			n = int32(len(ids))
			ids[id] = n
		}
		return n
	}
	var nodeOf, llcOf []int32 // of LLCs and of cores
	threads := map[int32]int32{}
	for i, p := range list {
		if p.Capacity == 0 {
			p.Capacity = FullCapacity
		}
		if p.Capacity < 1 || p.Capacity > FullCapacity {
			return nil, fmt.Errorf("topology %s: CPU %d: capacity %d, want 1 to %d", name, i, p.Capacity, FullCapacity)
		}
		in := Info{ID: CPU(i), Node: dense(nodes, p.Node), LLC: dense(llcs, p.LLC), Core: dense(cores, p.Core), Capacity: int32(p.Capacity)}
		if int(in.LLC) == len(nodeOf) {
			nodeOf = append(nodeOf, in.Node)
		}
		if int(in.Core) == len(llcOf) {
			llcOf = append(llcOf, in.LLC)
		}
		switch {
		case nodeOf[in.LLC] != in.Node:
			return nil, fmt.Errorf("topology %s: CPU %d: last-level cache %d is in two nodes", name, i, p.LLC)
		case llcOf[in.Core] != in.LLC:
			return nil, fmt.Errorf("topology %s: CPU %d: core %d has two last-level caches", name, i, p.Core)
		}
		in.Thread = threads[in.Core]
		threads[in.Core]++
		t.Threads = max(t.Threads, int(in.Thread)+1)
		t.CPUs = append(t.CPUs, in)
	}
	t.Nodes, t.LLCs, t.Cores = len(nodes), len(llcs), len(cores)
	t.index()
	return t, nil
}

// Host reads the machine of a running Linux from its sysfs, rooted where devices/ is. CPUs that are offline are left out, so
// that numbers behind them differ.
func Host(sys fs.FS) (*Topology, error) {
	const cpu, node = "devices/system/cpu", "devices/system/node"
	text := func(name string) (string, error) {
		b, err := fs.ReadFile(sys, name)
		return strings.TrimSpace(string(b)), err
	}
	online, err := text(cpu + "/online")
	if err != nil {
		return nil, fmt.Errorf("topology host: %w", err)
	}
	ids, err := parseList(online)
	if err != nil {
		return nil, fmt.Errorf("topology host: %s/online: %w", cpu, err)
	}
	nodeOf := map[int]int{}
	if nodes, err := fs.Glob(sys, node+"/node[0-9]*/cpulist"); err == nil {
		for _, file := range nodes {
			s, err := text(file)
			if err != nil {
				return nil, fmt.Errorf("topology host: %w", err)
			}
			members, err := parseList(s)
			if err != nil {
				return nil, fmt.Errorf("topology host: %s: %w", file, err)
			}
			n, err := strconv.Atoi(strings.TrimPrefix(path.Base(path.Dir(file)), "node"))
			if err != nil {
				continue
			}
			for _, m := range members {
				nodeOf[m] = n
			}
		}
	}
	var list []place
	for _, id := range ids {
		dir := fmt.Sprintf("%s/cpu%d", cpu, id)
		p := place{Node: nodeOf[id], LLC: id, Core: id}
		// Cores and caches go by their first CPU: the kernel's own ids of cores are unique in a package only.
		if s, err := text(dir + "/topology/thread_siblings_list"); err == nil {
			if members, err := parseList(s); err == nil && len(members) > 0 {
				p.Core = members[0]
			}
		}
		p.LLC = p.Core
		best := 0
		caches, _ := fs.Glob(sys, dir+"/cache/index[0-9]*")
		for _, c := range caches {
			s, err := text(c + "/level")
			if err != nil {
				continue
			}
			level, err := strconv.Atoi(s)
			if err != nil || level <= best {
				continue
			}
			if s, err = text(c + "/shared_cpu_list"); err == nil {
				if members, err := parseList(s); err == nil && len(members) > 0 {
					best, p.LLC = level, members[0]
				}
			}
		}
		if s, err := text(dir + "/cpu_capacity"); err == nil {
			if p.Capacity, err = strconv.Atoi(s); err != nil {
				return nil, fmt.Errorf("topology host: %s/cpu_capacity: %q is no number", dir, s)
			}
		}
		list = append(list, p)
	}
	return fromList("host", list)
}

// parseList reads a list of CPUs as the kernel writes it: "0-3,8".
func parseList(s string) ([]int, error) {
	var out []int
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			continue
		}
		a, b, ranged := strings.Cut(part, "-")
		from, err := strconv.Atoi(a)
		to := from
		if err == nil && ranged {
			to, err = strconv.Atoi(b)
		}
		if err != nil || from < 0 || to < from || to >= MaxCPUs*64 || to-from >= MaxCPUs {
			return nil, fmt.Errorf("%q is no list of CPUs", s)
		}
		for i := from; i <= to; i++ {
			out = append(out, i)
		}
	}
	return out, nil
}
