package objects

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/mem"
)

// The types of the tests, by number: an int key, a tree node at 8 and list nodes at 40 and 64; the same with a refcount; one
// that owns a list and a kptr; plain memory.
var types = map[uint64]*Layout{
	1: {Size: 96, Fields: []maps.Field{{Kind: maps.RBNode, Off: 8, Size: 32}, {Kind: maps.ListNode, Off: 40, Size: 24}, {Kind: maps.ListNode, Off: 64, Size: 24}}},
	2: {Size: 96, Fields: []maps.Field{{Kind: maps.RBNode, Off: 8, Size: 32}, {Kind: maps.ListNode, Off: 40, Size: 24}, {Kind: maps.Refcount, Off: 88, Size: 4}}},
	3: {Size: 64, Fields: []maps.Field{{Kind: maps.ListHead, Off: 0, Size: 16}, {Kind: maps.KptrRef, Off: 16, Size: 8, Pointee: "cpumask"}, {Kind: maps.RBNode, Off: 24, Size: 32}}},
	4: {Size: 24},
}

const (
	rbNode   = 8
	listNode = 40
)

type rig struct {
	t       testing.TB
	m       *mem.Space
	tab     *Table
	c       *abi.Call
	dropped []string
	roots   uint64 // memory for roots, 16 bytes each
}

func newRig(t testing.TB) *rig {
	m, err := mem.New(mem.Options{Reserve: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	r := &rig{t: t, m: m}
	r.tab = New(Config{Mem: m, NrCPUs: 3,
		Layout: func(id uint64) (*Layout, error) {
			if l := types[id]; l != nil {
				return l, nil
			}
			return nil, fmt.Errorf("no type %d", id)
		},
		DropKptr: func(f maps.Field, ptr uint64) { r.dropped = append(r.dropped, fmt.Sprintf("%s %#x", f.Pointee, ptr)) },
	})
	r.c = &abi.Call{Mem: m}
	r.c.Sub = func(fn uint64, a abi.Args) uint64 { // less: by the key at the start of the object
		return boolOf(load(m, a[0]-rbNode) < load(m, a[1]-rbNode))
	}
	if r.roots, _, err = m.Alloc(1024, 8); err != nil {
		t.Fatal(err)
	}
	return r
}

// call calls f, which must not fault.
func (r *rig) call(f abi.Func, args ...uint64) uint64 {
	r.t.Helper()
	v, fault := r.try(f, args...)
	if fault != "" {
		r.t.Fatalf("fault %q", fault)
	}
	return v
}

func (r *rig) try(f abi.Func, args ...uint64) (uint64, string) {
	var a abi.Args
	copy(a[:], args)
	v := f(r.c, &a)
	fault := r.c.Fault
	r.c.Fault = ""
	return v, fault
}

func (r *rig) object(typ, key uint64) uint64 {
	p := r.call(r.tab.NewObject, typ)
	r.m.Store(p, 8, key)
	return p
}

// blackHeight checks the rules of red-black trees below n.
func blackHeight(t testing.TB, n *node) int {
	if n == nil {
		return 1
	}
	l, r := blackHeight(t, n.left), blackHeight(t, n.right)
	if l != r || n.red && (isRed(n.left) || isRed(n.right)) || n.left != nil && n.left.parent != n || n.right != nil && n.right.parent != n {
		t.Fatalf("node %#x: black heights %d and %d", n.addr, l, r)
	}
	if n.red {
		return l
	}
	return l + 1
}

// A tree is a sorted list in which equal keys keep their order, and stays balanced.
func TestTree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		root := r.roots
		var model []uint64 // objects in order
		key := func(p uint64) uint64 { return load(r.m, p) }
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			switch {
			case len(model) == 0 || rapid.IntRange(0, 2).Draw(rt, "step") > 0:
				p := r.object(1, rapid.Uint64Range(0, 20).Draw(rt, "key"))
				if e := r.call(r.tab.RBAdd, root, p+rbNode, 1); e != 0 {
					rt.Fatalf("add: %d", int64(e))
				}
				i := 0
				for i < len(model) && key(model[i]) <= key(p) {
					i++
				}
				model = slices.Insert(model, i, p)
			default:
				i := rapid.IntRange(0, len(model)-1).Draw(rt, "at")
				p := model[i]
				model = slices.Delete(model, i, i+1)
				if got := r.call(r.tab.RBRemove, root, p+rbNode); got != p+rbNode {
					rt.Fatalf("remove: %#x", got)
				}
				if got := r.call(r.tab.RBRemove, root, p+rbNode); got != 0 {
					rt.Fatalf("removed twice: %#x", got)
				}
				r.call(r.tab.Drop, p)
			}
			var want uint64
			if len(model) > 0 {
				want = model[0] + rbNode
			}
			if got := r.call(r.tab.RBFirst, root); got != want {
				rt.Fatalf("first %#x, want %#x", got, want)
			}
			if top := r.tab.roots[root]; top != nil {
				if top.top.red {
					rt.Fatal("the root is red")
				}
				blackHeight(t, top.top)
			}
			// The walk over left and right finds the same.
			var walk func(n uint64, list []uint64) []uint64
			walk = func(n uint64, list []uint64) []uint64 {
				if n == 0 {
					return list
				}
				list = append(walk(r.call(r.tab.RBLeft, root, n), list), n-rbNode)
				return walk(r.call(r.tab.RBRight, root, n), list)
			}
			if got := walk(r.call(r.tab.RBRoot, root), nil); !slices.Equal(got, model) {
				rt.Fatalf("tree %x, want %x", got, model)
			}
		}
		r.tab.DropAll(root)
		if n := r.tab.Len(); n != 0 {
			rt.Fatalf("%d objects are left", n)
		}
	})
}

// The shapes that rb_insert_color and rb_erase give small trees, worked out by hand.
func TestTreeShape(t *testing.T) {
	r := newRig(t)
	var at [10]uint64
	for k := range uint64(8) {
		at[k] = r.object(1, k) + rbNode
		r.call(r.tab.RBAdd, r.roots, at[k], 1)
	}
	var show func(n *node) string
	show = func(n *node) string {
		if n == nil {
			return ""
		}
		s := fmt.Sprint(load(r.m, n.in.addr))
		if n.red {
			s += "r"
		}
		if n.left != nil || n.right != nil {
			s += "(" + show(n.left) + " " + show(n.right) + ")"
		}
		return s
	}
	want := func(s string) {
		t.Helper()
		if got := show(r.tab.roots[r.roots].top); got != s {
			t.Errorf("tree %s, want %s", got, s)
		}
	}
	want("3(1r(0 2) 5r(4 6( 7r)))")
	r.call(r.tab.RBRemove, r.roots, at[3]) // its successor takes its place
	want("4(1r(0 2) 6r(5 7))")
	r.call(r.tab.RBRemove, r.roots, at[0])
	want("4(1( 2r) 6r(5 7))")
	r.call(r.tab.RBRemove, r.roots, at[1])
	want("4(2 6r(5 7))")
	r.call(r.tab.RBRemove, r.roots, at[2]) // a red sibling
	want("6(4( 5r) 7)")
}

func TestList(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		head := r.roots + 16
		var model []uint64
		push := func(f abi.Func, i int) {
			p := r.object(1, 0)
			r.call(f, head, p+listNode)
			model = slices.Insert(model, i, p+listNode)
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			n := len(model)
			switch step := rapid.IntRange(0, 6).Draw(rt, "step"); {
			case step == 0 || n == 0:
				push(r.tab.PushFront, 0)
			case step == 1:
				push(r.tab.PushBack, n)
			case step == 2:
				i := rapid.IntRange(0, n-1).Draw(rt, "behind")
				p := r.object(1, 0)
				r.call(r.tab.Add, head, p+listNode, model[i])
				model = slices.Insert(model, i+1, p+listNode)
			default:
				i := rapid.IntRange(0, n-1).Draw(rt, "at")
				f := r.tab.Del
				switch step {
				case 3:
					i, f = 0, r.tab.PopFront
				case 4:
					i, f = n-1, r.tab.PopBack
				}
				if got := r.call(f, head, model[i]); got != model[i] {
					rt.Fatalf("got %#x, want %#x", got, model[i])
				}
				model = slices.Delete(model, i, i+1)
			}
			var front, back uint64
			if n = len(model); n > 0 {
				front, back = model[0], model[n-1]
			}
			if r.call(r.tab.Front, head) != front || r.call(r.tab.Back, head) != back || r.call(r.tab.Empty, head) != boolOf(n == 0) {
				rt.Fatalf("ends %#x and %#x", r.call(r.tab.Front, head), r.call(r.tab.Back, head))
			}
			for i, p := range model {
				if r.call(r.tab.IsFirst, head, p) != boolOf(i == 0) || r.call(r.tab.IsLast, head, p) != boolOf(i == n-1) {
					rt.Fatalf("element %d of %d: first or last", i, n)
				}
			}
		}
		var got []uint64
		for !slices.Equal(got, model) {
			got = append(got, r.call(r.tab.PopFront, head))
			if len(got) > len(model) {
				rt.Fatalf("%x, want %x", got, model)
			}
		}
	})
}

func TestReferences(t *testing.T) {
	r := newRig(t)
	p := r.object(2, 1)
	r.call(r.tab.Acquire, p)
	r.call(r.tab.Drop, p)
	if r.tab.Len() != 1 {
		t.Fatal("the object went away with one of two references")
	}
	// Adding it twice costs a reference: that was the last one.
	r.call(r.tab.RBAdd, r.roots, p+rbNode, 1)
	if e := r.call(r.tab.RBAdd, r.roots, p+rbNode, 1); e != abi.EINVAL.Ret() {
		t.Errorf("added twice: %d", int64(e))
	}
	if r.tab.Len() != 0 || r.call(r.tab.RBFirst, r.roots) != 0 {
		t.Error("the object is still there")
	}
	// What an object owns goes with it.
	owner := r.object(3, 0)
	r.call(r.tab.PushBack, owner, r.object(1, 1)+listNode)
	r.call(r.tab.PushBack, owner, r.object(1, 2)+listNode)
	r.m.Store(owner+16, 8, 0x1234)
	r.call(r.tab.Drop, owner)
	if r.tab.Len() != 0 || !slices.Equal(r.dropped, []string{"cpumask 0x1234"}) {
		t.Errorf("%d objects left, dropped %q", r.tab.Len(), r.dropped)
	}
}

func TestPerCPU(t *testing.T) {
	r := newRig(t)
	p := r.call(r.tab.NewPerCPU, 4)
	for cpu := range int32(3) {
		if at, ok := r.tab.PerCPU(p, cpu); !ok || at != p+24*uint64(cpu) {
			t.Errorf("CPU %d: %#x", cpu, at)
		}
	}
	if _, ok := r.tab.PerCPU(p+8, 0); ok {
		t.Error("the middle of an object has copies")
	}
	r.call(r.tab.DropPerCPU, p)
	if _, fault := r.try(r.tab.DropPerCPU, p); fault == "" || r.tab.Len() != 0 {
		t.Error("dropped twice")
	}
}

func TestFaults(t *testing.T) {
	r := newRig(t)
	p, q := r.object(1, 1), r.object(1, 2)
	r.call(r.tab.RBAdd, r.roots, q+rbNode, 1)
	for _, tc := range []struct {
		name string
		f    abi.Func
		args []uint64
		want string
	}{
		{"unknown type", r.tab.NewObject, []uint64{99}, "no type 99"},
		{"no object", r.tab.Drop, []uint64{p + 8}, fmt.Sprintf("argument 1: %#x is no object of bpf_obj_new", p+8)},
		{"no refcount", r.tab.Acquire, []uint64{p}, fmt.Sprintf("argument 1: the object at %#x has no bpf_refcount", p)},
		{"fields per CPU", r.tab.NewPerCPU, []uint64{1}, "type 1 has special fields, which per-CPU objects must not have"},
		{"no root", r.tab.RBAdd, []uint64{8, p + rbNode, 1}, "argument 1: 0x8 is no bpf_rb_root"},
		{"no node", r.tab.RBAdd, []uint64{r.roots, p, 1}, fmt.Sprintf("argument 2: %#x is no bpf_rb_node of an object", p)},
		{"node of a list", r.tab.RBRemove, []uint64{r.roots, p + listNode}, fmt.Sprintf("argument 2: %#x is no bpf_rb_node of an object", p+listNode)},
		{"tree as a list", r.tab.PushBack, []uint64{r.roots, p + listNode}, fmt.Sprintf("argument 1: %#x is a bpf_rb_root, not a bpf_list_head", r.roots)},
		{"no place", r.tab.Add, []uint64{r.roots + 32, p + listNode, 0}, "argument 3: 0x0 is no bpf_list_node of an object"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, fault := r.try(tc.f, tc.args...); fault != tc.want {
				t.Errorf("fault %q, want %q", fault, tc.want)
			}
		})
	}
	// A less() that takes the tree apart.
	r.c.Sub = func(uint64, abi.Args) uint64 {
		r.tab.put(r.tab.objects[q])
		return 0
	}
	if _, fault := r.try(r.tab.RBAdd, r.roots, p+rbNode, 1); fault != "less() changed the tree" {
		t.Errorf("fault %q", fault)
	}
	r.tab.Close()
	if r.tab.Len() != 0 {
		t.Error("objects are left after Close")
	}
}
