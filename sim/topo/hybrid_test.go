package topo

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// row is what a topology says of one CPU.
type row struct{ Core, LLC, Node, Thread, Capacity int32 }

func rows(t *Topology) []row {
	var out []row
	for _, c := range t.CPUs {
		out = append(out, row{c.Core, c.LLC, c.Node, c.Thread, c.Capacity})
	}
	return out
}

func TestHybrid(t *testing.T) {
	for _, tc := range []struct {
		name, in                   string
		nodes, llcs, cores, thread int
		want                       []row
	}{
		{"a cache of its own", "1n1l1c2t+1l2c1t@512", 1, 2, 3, 2,
			[]row{{0, 0, 0, 0, 1024}, {0, 0, 0, 1, 1024}, {1, 1, 0, 0, 512}, {2, 1, 0, 0, 512}}},
		{"the same cache", "1n1l1c2t+2c1t@400", 1, 1, 3, 2,
			[]row{{0, 0, 0, 0, 1024}, {0, 0, 0, 1, 1024}, {1, 0, 0, 0, 400}, {2, 0, 0, 0, 400}}},
		{"a node of its own", "1n1l1c1t+1n1l1c1t@100", 2, 2, 2, 1,
			[]row{{0, 0, 0, 0, 1024}, {1, 1, 1, 0, 100}}},
		{"three kinds", "1n1l1c1t+1c1t@768+2c1t@256", 1, 1, 4, 1,
			[]row{{0, 0, 0, 0, 1024}, {1, 0, 0, 0, 768}, {2, 0, 0, 0, 256}, {3, 0, 0, 0, 256}}},
		{"one slow kind", "1n1l2c1t@512", 1, 1, 2, 1, []row{{0, 0, 0, 0, 512}, {1, 0, 0, 0, 512}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			top, err := Parse(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := [4]int{top.Nodes, top.LLCs, top.Cores, top.Threads}, [4]int{tc.nodes, tc.llcs, tc.cores, tc.thread}; got != want {
				t.Errorf("nodes, LLCs, cores, threads = %v, want %v", got, want)
			}
			if d := cmp.Diff(tc.want, rows(top)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestHybridRefuses(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"first group without nodes", "4c2t", "no number followed by 'n'"},
		{"empty group", "1n1l4c2t+", "no number followed by 'c' at \"\""},
		{"cores missing", "1n1l4c2t+1l2t", "no number followed by 'c' at \"2t\""},
		{"caches missing below nodes", "1n1l4c2t+1n4c2t", "no number followed by 'l' at \"4c2t\""},
		{"no caches", "1n1l4c2t+0l4c1t", "0l in \"0l4c1t\""},
		{"no capacity", "1n1l4c2t@", "capacity \"\", want 1 to 1024"},
		{"capacity 0", "1n1l4c2t@0", "capacity \"0\", want 1 to 1024"},
		{"capacity too large", "1n1l4c2t@1025", "capacity \"1025\", want 1 to 1024"},
		{"capacity in the middle", "1n1l@5124c2t", "no number followed by 'c'"},
		{"too many in all", "1n1l8192c1t+1c1t", "more than 8192 CPUs"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse(tc.in)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v does not say %q", err, tc.want)
			}
		})
	}
}

func TestParseJSON(t *testing.T) {
	top, err := ParseJSON("m.json", []byte(`{"cpus": [
		{"node": 7, "llc": 3, "core": 9, "capacity": 1024}, {"node": 7, "llc": 3, "core": 5},
		{"node": 1, "llc": 4, "core": 6, "capacity": 300}, {"node": 7, "llc": 3, "core": 9}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []row{{0, 0, 0, 0, 1024}, {1, 0, 0, 0, 1024}, {2, 1, 1, 0, 300}, {0, 0, 0, 1, 1024}}
	if d := cmp.Diff(want, rows(top)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if d := cmp.Diff([]CPU{0, 3}, top.Core(0).CPUs); d != "" || top.Threads != 2 {
		t.Errorf("threads of core 0 (-want +got)\n%s", d)
	}
	for _, tc := range []struct{ name, in, want string }{
		{"no JSON", "x", "m.json: invalid character"},
		{"no CPUs", "{}", "0 CPUs"},
		{"a word too many", `{"cpus":[{"cap":1}]}`, `unknown field "cap"`},
		{"text behind", `{"cpus":[{}]} {}`, "text after the machine"},
		{"capacity", `{"cpus":[{"capacity":2000}]}`, "CPU 0: capacity 2000"},
		{"a cache in two nodes", `{"cpus":[{"core":0},{"core":1,"node":1}]}`, "CPU 1: last-level cache 0 is in two nodes"},
		{"a core in two caches", `{"cpus":[{},{"llc":1}]}`, "CPU 1: core 0 has two last-level caches"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := ParseJSON("m.json", []byte(tc.in)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v does not say %q", err, tc.want)
			}
		})
	}
}

func TestHost(t *testing.T) {
	sys := fstest.MapFS{}
	put := func(name, text string) { sys["devices/system/"+name] = &fstest.MapFile{Data: []byte(text + "\n")} }
	put("cpu/online", "0-1,3")
	put("node/node0/cpulist", "0-1")
	put("node/node1/cpulist", "2-3")
	for _, c := range []struct{ cpu, threads, l3, capacity string }{{"0", "0-1", "0-1", "1024"}, {"1", "0-1", "0-1", "1024"}, {"3", "3", "2-3", "446"}} {
		put("cpu/cpu"+c.cpu+"/topology/thread_siblings_list", c.threads)
		put("cpu/cpu"+c.cpu+"/cache/index0/level", "1")
		put("cpu/cpu"+c.cpu+"/cache/index0/shared_cpu_list", c.cpu)
		put("cpu/cpu"+c.cpu+"/cache/index3/level", "3")
		put("cpu/cpu"+c.cpu+"/cache/index3/shared_cpu_list", c.l3)
		put("cpu/cpu"+c.cpu+"/cpu_capacity", c.capacity)
	}
	top, err := Host(sys)
	if err != nil {
		t.Fatal(err)
	}
	want := []row{{0, 0, 0, 0, 1024}, {0, 0, 0, 1, 1024}, {1, 1, 1, 0, 446}}
	if d := cmp.Diff(want, rows(top)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if _, err := Host(fstest.MapFS{}); err == nil {
		t.Error("no error without a sysfs")
	}
}

// TestThisHost reads the machine that the test runs on, if it has a sysfs.
func TestThisHost(t *testing.T) {
	if _, err := os.Stat("/sys/devices/system/cpu/online"); err != nil {
		t.Skip("no sysfs: ", err)
	}
	top, err := Host(os.DirFS("/sys"))
	if err != nil {
		t.Fatal(err)
	}
	if len(top.CPUs) < 1 || top.Threads < 1 || len(top.Node(0).CPUs) < 1 {
		t.Errorf("%+v", top)
	}
}
