package topo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	top, err := Parse("2n2l2c2t")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := [4]int{top.Nodes, top.LLCs, top.Cores, top.Threads}, [4]int{2, 4, 8, 2}; got != want {
		t.Errorf("nodes, LLCs, cores, threads = %v, want %v", got, want)
	}
	for _, tc := range []struct {
		name string
		got  []CPU
		want []CPU
	}{
		{"core 0 has both threads", top.Core(0).CPUs, []CPU{0, 8}},
		{"siblings of a second thread", top.Siblings(11).CPUs, []CPU{3, 11}},
		{"LLC 1", top.LLC(1).CPUs, []CPU{2, 3, 10, 11}},
		{"node 1", top.Node(1).CPUs, []CPU{4, 5, 6, 7, 12, 13, 14, 15}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, tc.got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
	for _, tc := range []struct {
		name string
		a, b CPU
		want Level
	}{
		{"itself", 3, 3, SameCPU},
		{"other thread", 3, 11, SameCore},
		{"other core", 2, 11, SameLLC},
		{"other cache", 0, 2, SameNode},
		{"other node", 0, 4, Remote},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := top.Level(tc.a, tc.b); got != tc.want {
				t.Errorf("Level(%d, %d) = %d, want %d", tc.a, tc.b, got, tc.want)
			}
		})
	}
	if top.NodeDistance(0, 0) != 10 || top.NodeDistance(0, 1) != 20 {
		t.Error("node distances are not 10 and 20")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"empty", "", "no number followed by 'n'"},
		{"a count", "8", "no number followed by 'n'"},
		{"garbage", "lots", "no number followed by 'n'"},
		{"negative", "-1n1l1c1t", "no number followed by 'n'"},
		{"wrong order", "1l1n1c1t", "no number followed by 'n' at \"1l1n1c1t\""},
		{"missing level", "1n2l4c", "no number followed by 't' at \"\""},
		{"letter without number", "1nl4c2t", "no number followed by 'l' at \"l4c2t\""},
		{"trailing text", "1n2l4c2tx", "\"x\" after the threads"},
		{"trailing blank", "1n2l4c2t ", "\" \" after the threads"},
		{"zero cores", "1n2l0c2t", "0 cores per last-level cache, at least 1 is needed"},
		{"too many", "2n2l2048c2t", "more than 8192 CPUs"},
		{"overflow", "99999999999999999999n1l1c1t", "more than 8192 CPUs"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse(tc.in)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q does not say %q", err, tc.want)
			}
			if !strings.Contains(err.Error(), "topology \"") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q does not name the topology on one line", err)
			}
		})
	}
}

func TestFlat(t *testing.T) {
	if _, err := Flat(0); err == nil {
		t.Error("no error for 0 CPUs")
	}
	top, err := Flat(MaxCPUs)
	if err != nil {
		t.Fatal(err)
	}
	if len(top.CPUs) != MaxCPUs || top.LLCs != 1 || top.Threads != 1 || top.Words() != 128 {
		t.Errorf("Flat(%d): %d CPUs, %d LLCs, %d threads per core", MaxCPUs, len(top.CPUs), top.LLCs, top.Threads)
	}
}

// TestPartition: at each level every CPU is in exactly one set, the one that its Info names.
func TestPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		small := rapid.IntRange(1, 5)
		sh := Shape{small.Draw(t, "n"), small.Draw(t, "l"), small.Draw(t, "c"), small.Draw(t, "t")}
		top, err := Parse(sh.String())
		if err != nil {
			t.Fatal(err)
		}
		for name, level := range map[string]struct {
			sets []Set
			id   func(Info) int32
		}{
			"core": {top.cores, func(i Info) int32 { return i.Core }},
			"llc":  {top.llcs, func(i Info) int32 { return i.LLC }},
			"node": {top.nodes, func(i Info) int32 { return i.Node }},
		} {
			total := 0
			for id, s := range level.sets {
				total += len(s.CPUs)
				for _, c := range s.CPUs {
					if level.id(top.CPUs[c]) != int32(id) || !s.Has(c) {
						t.Fatalf("%s: CPU %d is listed in %s %d", sh, c, name, id)
					}
				}
			}
			if total != len(top.CPUs) {
				t.Fatalf("%s: %d CPUs in the sets of level %s, want %d", sh, total, name, len(top.CPUs))
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("1n2l4c2t")
	f.Add("")
	f.Add("8192n1l1c1t")
	f.Fuzz(func(t *testing.T, s string) {
		top, err := Parse(s)
		if (top == nil) == (err == nil) {
			t.Fatalf("Parse(%q) = %v, %v: want a topology or an error", s, top, err)
		}
	})
}
