package ext

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/sim"
)

// TestTree: the tree keeps its order (insertion order among equals) and its balance under random insertions and removals.
func TestTree(t *testing.T) {
	r := newRig(t, rigOptions{})
	var pool []*rbNode
	for range 40 {
		p := r.spawn(sim.TaskSpec{Comm: "t", Start: ms(1), Behavior: hog()})
		pool = append(pool, &rbNode{t: p})
	}
	rapid.Check(t, func(rt *rapid.T) {
		var tr rbTree
		var model []*rbNode // in order
		in := map[*rbNode]bool{}
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			n := pool[rapid.IntRange(0, len(pool)-1).Draw(rt, "node")]
			if in[n] {
				tr.erase(n)
				model = slices.DeleteFunc(model, func(m *rbNode) bool { return m == n })
			} else {
				v := rapid.Uint64Range(0, 20).Draw(rt, "vtime") - 10
				n.t.K.SetDSQVtime(v)
				tr.add(n)
				at := 0
				for at < len(model) && int64(model[at].t.K.DSQVtime()-v) <= 0 {
					at++
				}
				model = slices.Insert(model, at, n)
			}
			in[n] = !in[n]
			checkTree(rt, &tr, model)
		}
	})
}

func checkTree(rt *rapid.T, tr *rbTree, model []*rbNode) {
	var order []*rbNode
	var walk func(n, parent *rbNode) int // black height
	walk = func(n, parent *rbNode) int {
		if n == nil {
			return 1
		}
		if n.parent != parent {
			rt.Fatal("parent is wrong")
		}
		if n.red && parent != nil && parent.red {
			rt.Fatal("red below red")
		}
		l := walk(n.left, n)
		order = append(order, n)
		if r := walk(n.right, n); r != l {
			rt.Fatalf("black heights %d and %d", l, r)
		}
		if !n.red {
			l++
		}
		return l
	}
	walk(tr.root, nil)
	if tr.root != nil && tr.root.red {
		rt.Fatal("red root")
	}
	if !slices.Equal(order, model) {
		rt.Fatal("order is wrong")
	}
	for i, n := range order {
		var want *rbNode
		if i > 0 {
			want = order[i-1]
		}
		if prevOf(n) != want {
			rt.Fatal("predecessor is wrong")
		}
	}
}
