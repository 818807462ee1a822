package kobj

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// source is a made-up kernel: each field of the layout at a place of its own, in structs with gaps.
type source struct {
	off, size map[string]uint32
	structs   map[string]uint32
}

func newSource() *source {
	s := &source{off: map[string]uint32{}, size: map[string]uint32{}, structs: map[string]uint32{"mm_struct": 100}}
	for _, f := range new(Layout).fields() {
		size := f.size
		switch f.path {
		case "task_struct.cpus_mask":
			size = 16
		case "task_struct.on_cpu", "task_struct.on_rq":
			size = 4 // as before 7.2
		}
		typ := structs[structOf(f.path)]
		align := max(min(size, 8), 1)
		end := (s.structs[typ] + 24 + align - 1) &^ (align - 1)
		s.off[f.path], s.size[f.path] = end, size
		s.structs[typ] = end + size
	}
	return s
}

func (s *source) Field(path string) (uint32, uint32, bool) {
	off, ok := s.off[path]
	return off, s.size[path], ok
}

func (s *source) SizeOf(typ string) (uint32, bool) {
	n, ok := s.structs[typ]
	return n, ok
}

func layouts(t *testing.T) map[string]*Layout {
	l, err := NewLayout(newSource())
	if err != nil {
		t.Fatal(err)
	}
	old := newSource()
	for _, f := range l.fields() {
		if f.need == optional {
			delete(old.off, f.path)
		}
	}
	older, err := NewLayout(old)
	if err != nil {
		t.Fatalf("without the optional fields: %v", err)
	}
	small, err := (*Layout)(nil).ForCPUs(100)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*Layout{"kernel": l, "kernel without optional fields": older, "compact": Compact(), "compact for 100": small}
}

// TestAccessors sets each field of each view to a value of its own, then reads all of them back: an accessor with a
// wrong offset or width, or two fields in one place, would show.
func TestAccessors(t *testing.T) {
	for name, l := range layouts(t) {
		t.Run(name, func(t *testing.T) {
			m := &Heap{}
			task, err := NewTask(m, l)
			if err != nil {
				t.Fatal(err)
			}
			rq, err := NewRQ(m, l, 3)
			if err != nil {
				t.Fatal(err)
			}
			n := roundTrip(t, task, "Comm", "Valid", "CPUs", "CPUsMask", "Allows", "Free")
			if n < 40 {
				t.Errorf("only %d fields of a task were tested", n)
			}
			if n := roundTrip(t, rq, "Valid", "CPU"); n < 8 {
				t.Errorf("only %d fields of a runqueue were tested", n)
			}
			if rq.CPU() != 3 {
				t.Errorf("rq cpu %d, want 3", rq.CPU())
			}
		})
	}
}

// roundTrip calls all setters of view with different values, then all getters, and returns how many there are.
func roundTrip(t *testing.T, view any, skip ...string) int {
	t.Helper()
	v := reflect.ValueOf(view)
	values := map[string]any{}
	for i := range v.NumMethod() {
		name, ok := strings.CutPrefix(v.Type().Method(i).Name, "Set")
		get := v.MethodByName(name)
		if !ok || !get.IsValid() || strings.Contains(strings.Join(skip, " "), name) {
			continue
		}
		arg := reflect.New(v.Method(i).Type().In(0)).Elem()
		switch n := int64(100 + i); arg.Kind() {
		case reflect.Bool:
			arg.SetBool(true)
		case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			arg.SetUint(^uint64(0)>>(64-8*arg.Type().Size()) - uint64(n))
		default:
			arg.SetInt(-n)
		}
		v.Method(i).Call([]reflect.Value{arg})
		values[name] = arg.Interface()
	}
	// These setters write a second field on purpose; set what they overwrote again.
	if task, ok := view.(Task); ok {
		task.SetWakeCPU(values["WakeCPU"].(int32))
	}
	for name, want := range values {
		if got := v.MethodByName(name).Call(nil)[0].Interface(); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	return len(values)
}

func TestComm(t *testing.T) {
	task, err := NewTask(&Heap{}, Compact())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, in, want string }{
		{"short", "sh", "sh"},
		{"exactly 15", "123456789012345", "123456789012345"},
		{"cut", "1234567890123456789", "123456789012345"},
		{"shorter again", "x", "x"},
		{"empty", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			task.SetComm(tc.in)
			if got := task.Comm(); got != tc.want {
				t.Errorf("Comm = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestNewLayoutRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(s *source)
		want   string
	}{
		{"missing field", func(s *source) { delete(s.off, "task_struct.scx.slice") }, "no field task_struct.scx.slice"},
		{"missing struct", func(s *source) { delete(s.structs, "rq") }, "no struct rq"},
		{"wrong size", func(s *source) { s.size["task_struct.pid"] = 8 }, "task_struct.pid has 8 bytes, want 4"},
		{"outside", func(s *source) { s.off["rq.cpu"] = 5000 }, "rq.cpu ends at byte 5004 of a struct of"},
		{"odd mask", func(s *source) { s.size["task_struct.cpus_mask"] = 12 }, "task_struct.cpus_mask has 12 bytes"},
		{"huge mask", func(s *source) { s.size["task_struct.cpus_mask"] = 2048 }, "cpus_mask"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSource()
			tc.change(s)
			_, err := NewLayout(s)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("NewLayout: %v, want an error about %q", err, tc.want)
			}
		})
	}
}

func TestForCPUs(t *testing.T) {
	l, err := NewLayout(newSource()) // masks of 128 bits
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.ForCPUs(129); err == nil || err.Error() != "129 CPUs: a cpumask of this kernel has 128 bits" {
		t.Errorf("ForCPUs(129): %v", err)
	}
	small, err := l.ForCPUs(64)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCPUMask(&Heap{}, small)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.Words()); n != 1 || small.MaskBytes() != 16 {
		t.Errorf("for 64 CPUs: %d words are used of %d bytes, want 1 of 16", n, small.MaskBytes())
	}
	if Compact().MaskBytes() != 1024 {
		t.Errorf("a compact mask has %d bytes, want 1024", Compact().MaskBytes())
	}
}

// TestCPUMask compares a mask with a Go map.
func TestCPUMask(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(t, "cpus")
		l, err := (*Layout)(nil).ForCPUs(n)
		if err != nil {
			t.Fatal(err)
		}
		mem := &Heap{}
		draw := func(name string) (CPUMask, map[int32]bool) {
			c, err := NewCPUMask(mem, l)
			if err != nil {
				t.Fatal(err)
			}
			in := map[int32]bool{}
			for _, x := range rapid.SliceOf(rapid.Int32Range(0, int32(n-1))).Draw(t, name) {
				c.Set(x)
				in[x] = true
			}
			return c, in
		}
		a, inA := draw("a")
		b, inB := draw("b")
		out, _ := draw("out")
		expect := func(what string, want func(x int32) bool) {
			for x := range int32(n) {
				if out.Test(x) != want(x) {
					t.Fatalf("%s: CPU %d is %t", what, x, out.Test(x))
				}
			}
		}
		any := func(f func(x int32) bool) bool {
			for x := range int32(n) {
				if f(x) {
					return true
				}
			}
			return false
		}
		and := func(x int32) bool { return inA[x] && inB[x] }
		not := func(x int32) bool { return inA[x] && !inB[x] }
		if got := out.And(a, b); got != any(and) {
			t.Fatalf("And = %t", got)
		}
		expect("and", and)
		if got := out.AndNot(a, b); got != any(not) {
			t.Fatalf("AndNot = %t", got)
		}
		expect("andnot", not)
		out.Or(a, b)
		expect("or", func(x int32) bool { return inA[x] || inB[x] })
		out.Xor(a, b)
		expect("xor", func(x int32) bool { return inA[x] != inB[x] })
		out.Copy(a)
		expect("copy", func(x int32) bool { return inA[x] })
		if !out.Equal(a) || out.Equal(b) != cmp.Equal(inA, inB) {
			t.Fatal("Equal is wrong")
		}
		if a.Weight() != len(inA) || a.Empty() != (len(inA) == 0) || a.Full(n) != (len(inA) == n) {
			t.Fatalf("Weight %d, Empty %t, Full %t of %d CPUs of %d", a.Weight(), a.Empty(), a.Full(n), len(inA), n)
		}
		if a.Intersects(b) != any(and) || a.Subset(b) == any(not) {
			t.Fatalf("Intersects %t, Subset %t", a.Intersects(b), a.Subset(b))
		}
		var seen, both []int32
		for x := a.First(); x >= 0; x = a.Next(x) {
			seen = append(seen, x)
		}
		for x := a.FirstAnd(b); x >= 0; x = a.NextAnd(b, x) {
			both = append(both, x)
		}
		var want, wantBoth []int32
		for x := range int32(n) {
			if inA[x] {
				want = append(want, x)
			}
			if and(x) {
				wantBoth = append(wantBoth, x)
			}
		}
		if d := cmp.Diff(want, seen); d != "" {
			t.Fatalf("walk (-want +got)\n%s", d)
		}
		if d := cmp.Diff(wantBoth, both); d != "" {
			t.Fatalf("walk of both (-want +got)\n%s", d)
		}
		last := int32(-1)
		if len(want) > 0 {
			last = want[len(want)-1]
		}
		if a.Last() != last {
			t.Fatalf("Last = %d, want %d", a.Last(), last)
		}
		x := rapid.Int32Range(0, int32(n-1)).Draw(t, "x")
		if a.TestAndSet(x) != inA[x] || !a.Test(x) || !a.TestAndClear(x) || a.Test(x) {
			t.Fatalf("TestAndSet or TestAndClear of %d is wrong", x)
		}
		a.Fill(n)
		if a.Weight() != n {
			t.Fatalf("Fill(%d) gives %d CPUs", n, a.Weight())
		}
		a.Zero()
		if !a.Empty() {
			t.Fatal("Zero leaves CPUs")
		}
	})
}

func TestCPUMaskOutOfRange(t *testing.T) {
	l, err := (*Layout)(nil).ForCPUs(8)
	if err != nil {
		t.Fatal(err)
	}
	task, err := NewTask(&Heap{}, l)
	if err != nil {
		t.Fatal(err)
	}
	c := task.CPUs()
	for _, x := range []int32{-1, 64, 8192, -1 << 31, 1<<31 - 1} {
		t.Run(fmt.Sprint(x), func(t *testing.T) {
			c.Set(x)
			c.Clear(x)
			if c.Test(x) || task.Allows(x) || !c.Empty() {
				t.Error("a CPU beyond the mask is in it")
			}
		})
	}
	if c.Next(63) != -1 || c.Next(1000) != -1 || c.NextAnd(c, 5000) != -1 {
		t.Error("Next beyond the mask finds a CPU")
	}
}

func TestMaskAt(t *testing.T) {
	l := Compact()
	addr, b, err := new(Heap).Alloc(1024, 8)
	if err != nil {
		t.Fatal(err)
	}
	c := MaskAt(l, addr, b)
	c.Set(9)
	if !c.Valid() || b[1] != 2 {
		t.Errorf("valid %t, byte 1 is %d, want 2", c.Valid(), b[1])
	}
	if MaskAt(l, addr, b[:1016]).Valid() || MaskAt(l, addr+4, b).Valid() || MaskAt(l, 0, nil).Valid() {
		t.Error("a view of too few or unaligned bytes is valid")
	}
}

func TestCgroup(t *testing.T) {
	mem, l := &Heap{}, Compact()
	root, err := NewCgroup(mem, l, Cgroup{}, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	c := root
	for i := 1; i < maxCgroupDepth; i++ {
		if c, err = NewCgroup(mem, l, c, "child", uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if c.Level() != maxCgroupDepth-1 {
		t.Errorf("level %d, want %d", c.Level(), maxCgroupDepth-1)
	}
	anc := c.words(l.cg.ancestors, maxCgroupDepth)
	if anc[0] != root.Addr || anc[maxCgroupDepth-1] != c.Addr || anc[1] == 0 {
		t.Errorf("ancestors %#x do not lead from %#x to %#x", anc, root.Addr, c.Addr)
	}
	if _, err := NewCgroup(mem, l, c, "deep", 99); err == nil || !strings.Contains(err.Error(), `cgroup "deep": deeper than`) {
		t.Errorf("one level more: %v", err)
	}
}
