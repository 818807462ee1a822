package fidelity

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const smallStream = `# two tasks
cpus 2
tick 2000000
until 5000
task 7 0 hog-0
task 8 5 hog-1
-20 0 enable 7
10 0 runnable 7 0x9 - 20000000 0
20 0 enqueue 7 0x9 0x0 20000000 0
25 1 update_idle 0 0x1 0x0
30 0 running 7 0x64
40 0 tick 7
50 0 stopping 7 0x1
60 0 dispatch 7 0x0 0x40c01
70 0 running 99 0x64
`

func parseStream(t *testing.T, text string) *Stream {
	t.Helper()
	s, err := ReadStream(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStream(t *testing.T) {
	s := parseStream(t, smallStream)
	if s.CPUs != 2 || s.Tick != 2000000 || s.Until != 5000 || len(s.Tasks) != 2 || len(s.Ops) != 9 {
		t.Fatalf("got %+v", s)
	}
	want := Op{At: 10, Name: "runnable", PID: 7, A: Num(9), Slice: Num(20000000), VTime: Num(0)}
	if d := cmp.Diff(want, s.Ops[1]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.TrimPrefix(smallStream, "# two tasks\n"), b.String()); d != "" {
		t.Errorf("written (-want +got):\n%s", d)
	}
}

func TestStreamFile(t *testing.T) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write([]byte(smallStream)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"plain": []byte(smallStream), "compressed": z.Bytes()} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.ops")
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := ReadStreamFile(file)
			if err != nil || len(s.Ops) != 9 {
				t.Errorf("%v, %v", s, err)
			}
		})
	}
}

func TestStreamErrors(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"no CPUs", "1 0 tick 7\n", `no line "cpus N"`},
		{"CPU", "cpus 1\n1 1 tick 7\n", "CPU 1 of 1"},
		{"callback", "cpus 1\n1 0 tock 7\n", `no callback "tock"`},
		{"short", "cpus 1\n1 0 tick\n", "line 2"},
		{"long", "cpus 1\n1 0 tick 7 1 2 3 4 5\n", "line 2"},
		{"number", "cpus 1\n1 0 tick 7 x\n", "line 2"},
		{"time", "cpus 1\nx 0 tick 7\n", "line 2"},
		{"until", "cpus 1\nuntil -4\n", "want a number"},
		{"task", "cpus 1\ntask 4\n", "want task"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := ReadStream(strings.NewReader(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func FuzzReadStream(f *testing.F) {
	f.Add(smallStream)
	f.Add("cpus 1\n5 0 enqueue 3 0x1 -\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ReadStream(strings.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := s.Write(&b); err != nil {
			t.Fatal(err)
		}
		again, err := ReadStream(&b)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if d := cmp.Diff(s, again); d != "" {
			t.Errorf("another stream after writing:\n%s", d)
		}
	})
}

func TestFirstDivergence(t *testing.T) {
	// The same with other PIDs, later, with another kernel thread, a callback that was not recorded and no column B.
	same := strings.NewReplacer(" 7 ", " 17 ", " 7\n", " 17\n", "8 5", "18 5", " 99 ", " 44 ", "40 0 tick", "41 0 tick", "60 0", "66 0", " 0x40c01", "").
		Replace(smallStream) + "65 0 dequeue 17 0x0\n"
	for _, tc := range []struct {
		name, text string
		equal      [2]int
		kernel     string // part of what it did at the divergence on CPU 0
		ours       string
	}{
		{"equal", same, [2]int{7, 1}, "", ""},
		{"argument", strings.Replace(same, "17 0x9 0x0 2", "17 0x9 0x1 2", 1), [2]int{1, 1}, "enqueue(hog-0, enq_flags 0x9, cpu of the task 0x0)", "cpu of the task 0x1"},
		{"task", strings.Replace(same, "running 44", "running 18", 1), [2]int{6, 1}, "running(other, p->scx.weight 0x64)", "running(hog-1"},
		{"callback", strings.Replace(same, "tick 17", "yield 17", 1), [2]int{3, 1}, "tick(hog-0)", "stopping"},
		{"other CPU", strings.Replace(same, "25 1", "25 0", 1), [2]int{2, 0}, "running(hog-0", "update_idle(-, cpu 0x1, idle 0x0)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := FirstDivergence(parseStream(t, smallStream), parseStream(t, tc.text))
			if len(got) != 2 || got[0].Equal != tc.equal[0] || got[1].Equal != tc.equal[1] {
				t.Fatalf("got %+v, want %v equal", got, tc.equal)
			}
			if !strings.Contains(got[0].Kernel, tc.kernel) || !strings.Contains(got[0].Ours, tc.ours) || got[0].Parted() != (tc.kernel != "") {
				t.Errorf("kernel %q, ours %q", got[0].Kernel, got[0].Ours)
			}
			var b strings.Builder
			if err := WriteDivergences(&b, "case", got); err != nil || tc.kernel != "" && !strings.Contains(b.String(), "- kernel: "+got[0].Kernel) {
				t.Errorf("%v: %s", err, b.String())
			}
		})
	}
}
