package sys_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/cilium/ebpf/btf"
	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/sys"
)

func intType() btf.Type { return &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed} }

// model is what references there should be: objects by kind and id, each with those who hold it.
type model struct {
	fds   map[int]*thing
	pins  map[string]*thing
	ids   map[byte]uint32 // last id by kind
	all   []*thing
	inner map[*thing]*thing // element 0 of a map of maps or array of programs
}

type thing struct {
	kind  byte // 'm', 'o' (map of maps), 'a' (array of programs), 'p', 'l'
	id    uint32
	refs  int
	users int // those of the references that are user space's: descriptors and pins
	holds []*thing
	freed bool
}

func (m *model) add(fd int, kind byte, holds ...*thing) *thing {
	space := kind
	if kind == 'o' || kind == 'a' {
		space = 'm'
	}
	m.ids[space]++
	x := &thing{kind: kind, id: m.ids[space], refs: 1, users: 1, holds: holds}
	for _, h := range holds {
		h.refs++
	}
	m.fds[fd], m.all = x, append(m.all, x)
	return x
}

func (m *model) drop(x *thing) {
	if x.refs--; x.refs > 0 {
		return
	}
	x.freed = true
	for _, h := range x.holds {
		m.drop(h)
	}
	if in := m.inner[x]; in != nil {
		delete(m.inner, x)
		m.drop(in)
	}
}

// hold is another descriptor or pin of x, leave the end of one: without user space an array of programs is empty.
func (m *model) hold(x *thing) {
	x.refs++
	x.users++
}

func (m *model) leave(x *thing) {
	if x.users--; x.users == 0 && x.kind == 'a' {
		m.put(x, nil)
	}
	m.drop(x)
}

// put makes in the element of x.
func (m *model) put(x, in *thing) {
	old := m.inner[x]
	delete(m.inner, x)
	if in != nil {
		m.inner[x] = in
		in.refs++
	}
	if old != nil {
		m.drop(old)
	}
}

// lowest is the descriptor that the next open gets.
func (m *model) lowest() int {
	fd := 3
	for m.fds[fd] != nil {
		fd++
	}
	return fd
}

func (m *model) of(kinds string) []int {
	var out []int
	for _, fd := range slices.Sorted(maps.Keys(m.fds)) {
		for _, k := range kinds {
			if m.fds[fd].kind == byte(k) {
				out = append(out, fd)
			}
		}
	}
	return out
}

// Whatever is created, duplicated, pinned, put into maps and closed: exactly those objects live that something holds, under
// their first ids, at the lowest free descriptors, and in the end all memory is back.
func TestLifetimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, func(o *sys.Options) { o.Maps = 400 })
		before := r.m.Limit()
		m := &model{fds: map[int]*thing{}, pins: map[string]*thing{}, ids: map[byte]uint32{}, inner: map[*thing]*thing{}}
		create := map[byte]func(){}
		// pick draws a descriptor; where there is none of the kind, an object is made first.
		pick := func(kinds string) int {
			if len(m.of(kinds)) == 0 {
				create[kinds[0]]()
			}
			return rapid.SampledFrom(m.of(kinds)).Draw(t, "fd")
		}
		opened := func(fd int32, want int) {
			if int(fd) != want {
				t.Fatalf("descriptor %d, want %d", fd, want)
			}
		}
		create['m'] = func() {
			fd := m.lowest()
			opened(r.array(8, 1), fd)
			m.add(fd, 'm')
		}
		create['o'] = func() {
			in := pick("m")
			fd := m.lowest()
			opened(r.ok(sys.MapCreate, sys.MapAttr{Type: 12, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerFD: int32(in)}.Bytes()), fd)
			m.add(fd, 'o')
		}
		create['a'] = func() {
			fd := m.lowest()
			opened(r.progArray(1), fd)
			m.add(fd, 'a')
		}
		create['p'] = func() {
			in := pick("moa")
			fd := m.lowest()
			opened(r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, join(ld64(1, 1, int32(in), 0), movK(0, 1), exit))), fd)
			m.add(fd, 'p', m.fds[in])
		}
		t.Repeat(map[string]func(*rapid.T){
			"map":         func(*rapid.T) { create['m']() },
			"map of maps": func(*rapid.T) { create['o']() },
			"program":     func(*rapid.T) { create['p']() },
			"array":       func(*rapid.T) { create['a']() },
			"set program": func(t *rapid.T) {
				a, p := pick("a"), pick("p")
				r.ok(sys.MapUpdateElem, r.setProg(int32(a), 0, int32(p)))
				m.put(m.fds[a], m.fds[p])
			},
			"delete program": func(t *rapid.T) {
				a := pick("a")
				want := abi.ENOENT
				if m.inner[m.fds[a]] != nil {
					want = 0
				}
				r.errno(want, sys.MapDeleteElem, sys.ElemAttr{Map: int32(a), Key: r.u.Add(u32(0))}.Bytes())
				m.put(m.fds[a], nil)
			},
			"set": func(t *rapid.T) {
				out, in := m.fds[pick("o")], pick("m")
				for fd, x := range m.fds {
					if x == out {
						r.ok(sys.MapUpdateElem, r.elem(int32(fd), u32(0), u32(uint32(in)), 0))
						break
					}
				}
				m.put(out, m.fds[in])
			},
			"run": func(t *rapid.T) {
				r.ok(sys.ProgTestRun, sys.RunAttr{Prog: int32(pick("p"))}.Bytes())
			},
			"refused program": func(t *rapid.T) {
				if fd := r.p.BPF(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, join(ld64(1, 1, int32(pick("mo")), 0), movK(0, 1)))); fd >= 0 {
					t.Fatal("accepted")
				}
			},
			"bind": func(t *rapid.T) {
				p, in := pick("p"), pick("ma")
				r.ok(sys.ProgBindMap, sys.Words(uint32(p), uint32(in), 0))
				if x := m.fds[in]; !slices.Contains(m.fds[p].holds, x) {
					x.refs++
					m.fds[p].holds = append(m.fds[p].holds, x)
				}
			},
			"dup": func(t *rapid.T) {
				fd := pick("mopa")
				to := m.lowest()
				opened(int32(r.p.Dup(fd)), to)
				m.fds[to] = m.fds[fd]
				m.hold(m.fds[fd])
			},
			"pin": func(t *rapid.T) {
				fd, name := pick("mopa"), fmt.Sprintf("/sys/fs/bpf/%d", rapid.IntRange(0, 3).Draw(t, "name"))
				v := r.p.BPF(sys.ObjPin, sys.PathAttr{Path: r.u.AddString(name), FD: int32(fd)}.Bytes())
				if (v == 0) != (m.pins[name] == nil) {
					t.Fatalf("pin: %d", v)
				}
				if v == 0 {
					m.pins[name] = m.fds[fd]
					m.hold(m.fds[fd])
				}
			},
			"unpin": func(t *rapid.T) {
				if len(m.pins) == 0 {
					return
				}
				name := rapid.SampledFrom(slices.Sorted(maps.Keys(m.pins))).Draw(t, "name")
				if err := r.k.Unlink(name); err != nil {
					t.Fatal(err)
				}
				x := m.pins[name]
				delete(m.pins, name)
				m.leave(x)
			},
			"by id": func(t *rapid.T) {
				if len(m.all) == 0 {
					return
				}
				x := rapid.SampledFrom(m.all).Draw(t, "object")
				cmd, attr := sys.MapGetFDByID, sys.Words(x.id, 0, 0)
				if x.kind == 'p' {
					cmd, attr = sys.ProgGetFDByID, sys.Words(x.id)
				}
				to := m.lowest()
				if v := r.p.BPF(cmd, attr); x.freed {
					if v >= 0 {
						t.Fatalf("%c %d is gone, but has descriptor %d", x.kind, x.id, v)
					}
				} else {
					opened(int32(v), to)
					m.fds[to] = x
					m.hold(x)
				}
			},
			"close": func(t *rapid.T) {
				fd := pick("mopa")
				if r.p.Close(fd) != 0 {
					t.Fatal("close")
				}
				x := m.fds[fd]
				delete(m.fds, fd)
				m.leave(x)
			},
			"": func(t *rapid.T) {
				want := sys.Counts{}
				for _, x := range m.all {
					switch {
					case x.freed:
					case x.kind == 'p':
						want.Progs++
					default:
						want.Maps++
					}
				}
				if got := r.k.Counts(); got != want {
					t.Fatalf("live %+v, want %+v", got, want)
				}
				r.u.Reset()
			},
		})
		if err := r.k.Close(); err != nil {
			t.Fatal(err)
		}
		// All memory is back: another kernel needs no more of it.
		after := r.m.Limit()
		again, err := sys.New(sys.Options{Mem: r.m, Host: r.h, Maps: 400})
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil || r.m.Limit() != after || after < before {
			t.Fatalf("%v; limit %d, then %d", err, after, r.m.Limit())
		}
		if err := r.m.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
