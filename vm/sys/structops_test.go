package sys_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/sys"
)

// demo is a type of struct_ops with a provider that writes down what it is asked.
type demo struct {
	typ sys.StructOpsType
	log []string
	err error
}

func newDemo() *demo {
	d := &demo{}
	d.typ = sys.StructOpsType{
		Name: "demo_ops", Size: 32,
		Members: []sys.StructOpsMember{
			{Name: "init", Index: 0, Off: 0, Size: 8, Func: true},
			{Name: "flags", Index: 1, Off: 8, Size: 4},
			{Name: "tick", Index: 2, Off: 16, Size: 8, Func: true},
			{Name: "name", Index: 3, Off: 24, Size: 8},
		},
		CheckMember: func(m *sys.StructOpsMember, p *sys.Prog) error {
			if p.Sleepable() && m.Name != "init" {
				return abi.EINVAL
			}
			return nil
		},
		InitMember: func(s *sys.StructOps, m *sys.StructOpsMember, data []byte) (bool, error) {
			switch m.Name {
			case "flags":
				if data[0] > 1 {
					return false, fmt.Errorf("flags %#x: %w", data[0], abi.E2BIG)
				}
				s.Data = data[0]
				return true, nil
			}
			return false, nil
		},
		Reg: func(s *sys.StructOps) error {
			d.log = append(d.log, fmt.Sprintf("reg %d flags %v tick %v", s.MapID, s.Data, s.Progs[2] != nil))
			return d.err
		},
		Unreg: func(s *sys.StructOps) { d.log = append(d.log, fmt.Sprintf("unreg %d", s.MapID)) },
	}
	return d
}

// registered makes a map with a value that has the programs given and these flags.
type table struct {
	*rig
	d   *demo
	ids sys.StructOpsIDs
}

func newTable(t testing.TB) *table {
	d := newDemo()
	x := &table{d: d, rig: newRig(t, func(o *sys.Options) { o.StructOps = []*sys.StructOpsType{&d.typ} })}
	_, x.ids, _ = x.k.StructOps("demo_ops")
	return x
}

func (x *table) member(want abi.Errno, index, flags uint32) int32 {
	x.t.Helper()
	return int32(x.errno(want, sys.ProgLoad, x.prog(sys.ProgTypeStructOps, join(movK(0, int32(index)), exit), func(a *sys.ProgAttr) {
		a.AttachBTF, a.AttachType, a.Flags = x.ids.Type, index, flags
	})))
}

func (x *table) newMap(want abi.Errno, edit func(a *sys.MapAttr)) int32 {
	x.t.Helper()
	b := x.ok(sys.BTFLoad, x.btf(intType()))
	defer x.p.Close(int(b))
	a := sys.MapAttr{Type: sys.TypeStructOps, KeySize: 4, ValueSize: x.ids.ValueSize, MaxEntries: 1, Flags: sys.FlagLink, BTF: b, VmlinuxType: x.ids.Value, Name: "ops"}
	edit(&a)
	return int32(x.errno(want, sys.MapCreate, a.Bytes()))
}

func (x *table) value(init, tick int32, flags byte) []byte {
	v := make([]byte, x.ids.ValueSize)
	binary.LittleEndian.PutUint64(v[x.ids.DataOff:], uint64(init))
	v[x.ids.DataOff+8] = flags
	binary.LittleEndian.PutUint64(v[x.ids.DataOff+16:], uint64(tick))
	return v
}

func link(m int32) []byte { return sys.Words(uint32(m), 0, sys.AttachStructOps, 0) }

func nothing(*sys.MapAttr) {}

func TestStructOps(t *testing.T) {
	x := newTable(t)
	x.member(abi.EINVAL, 1, 0)                     // no function
	x.member(abi.EINVAL, 4, 0)                     // no such member
	x.member(abi.EINVAL, 2, sys.ProgFlagSleepable) // the provider says no
	init := x.member(0, 0, sys.ProgFlagSleepable)
	tick := x.member(0, 2, 0)
	x.newMap(abi.EINVAL, func(a *sys.MapAttr) { a.ValueSize++ })
	x.newMap(abi.EINVAL, func(a *sys.MapAttr) { a.MaxEntries = 2 })
	x.newMap(abi.EINVAL, func(a *sys.MapAttr) { a.VmlinuxType = 0 })
	x.newMap(abi.ENOTSUPP, func(a *sys.MapAttr) { a.VmlinuxType = 4 })
	x.newMap(abi.EBADF, func(a *sys.MapAttr) { a.BTF = 50 })
	m := x.newMap(0, nothing)
	set := func(want abi.Errno, key uint32, v []byte) {
		t.Helper()
		x.errno(want, sys.MapUpdateElem, x.elem(m, u32(key), v, 0))
	}
	x.errno(abi.EINVAL, sys.LinkCreate, link(m)) // no value yet
	set(abi.E2BIG, 1, x.value(init, tick, 1))
	set(abi.EINVAL, 0, x.value(tick, 0, 1))   // for another member
	set(abi.EBADF, 0, x.value(50, 0, 1))      // no descriptor
	set(abi.EINVAL, 0, x.value(m, 0, 1))      // a map
	set(abi.E2BIG, 0, x.value(init, tick, 2)) // flags
	bad := x.value(init, tick, 1)
	bad[x.ids.DataOff+12] = 1 // a hole
	set(abi.EINVAL, 0, bad)
	bad = x.value(init, tick, 1)
	bad[x.ids.DataOff+24] = 1 // a member that nobody takes
	set(abi.EINVAL, 0, bad)
	bad = x.value(init, tick, 1)
	bad[4] = 1 // a state
	set(abi.EINVAL, 0, bad)
	set(0, 0, x.value(init, tick, 1))
	set(abi.EBUSY, 0, x.value(init, tick, 1))
	got := make([]byte, x.ids.ValueSize)
	x.ok(sys.MapLookupElem, x.elem(m, u32(0), got, 0))
	if d := cmp.Diff(append(x.value(1, 2, 1)[:0], u32(0)...), got[:4]); d != "" || got[4] != 3 || got[x.ids.DataOff] != 1 || got[x.ids.DataOff+16] != 2 {
		t.Errorf("value %v", got[:88])
	}
	x.errno(abi.EOPNOTSUPP, sys.MapDeleteElem, x.elem(m, u32(0), nil, 0)[:16])
	x.errno(abi.ENOTSUPP, sys.MapFreeze, sys.Words(uint32(m)))
	x.d.err = abi.EBUSY
	x.errno(abi.EBUSY, sys.LinkCreate, link(m))
	x.d.err = nil
	l := x.ok(sys.LinkCreate, link(m))
	info := make([]byte, 64)
	x.ok(sys.ObjGetInfoByFD, sys.InfoAttr{FD: l, Len: 64, Info: x.u.Add(info)}.Bytes())
	if info[0] != 9 || info[4] != 1 || info[16] != 1 {
		t.Errorf("link info %v", info)
	}
	x.errno(abi.EOPNOTSUPP, sys.LinkUpdate, sys.Words(uint32(l), uint32(m), 0, 0))
	x.errno(abi.EINVAL, sys.LinkUpdate, sys.Words(uint32(l), uint32(m), 0, 1))
	// The link keeps the map, the map its programs.
	for _, fd := range []int32{init, tick, m} {
		x.p.Close(int(fd))
	}
	if c := x.k.Counts(); c != (sys.Counts{Maps: 1, Progs: 2, BTFs: 1, Links: 1}) {
		t.Errorf("live: %+v", c)
	}
	if r0, f := x.p.Link(int(l)).Map().Value().Progs[2].Run(0); r0 != 2 || f != nil {
		t.Errorf("tick returned %d, %v", r0, f)
	}
	x.ok(sys.LinkDetach, sys.Words(uint32(l)))
	x.ok(sys.LinkDetach, sys.Words(uint32(l)))
	if c := x.k.Counts(); c != (sys.Counts{Links: 1}) {
		t.Errorf("live: %+v", c)
	}
	x.p.Close(int(l))
	want := []string{"reg 1 flags 1 tick true", "reg 1 flags 1 tick true", "unreg 1"}
	if d := cmp.Diff(want, x.d.log); d != "" {
		t.Error(d)
	}
}

// Without BPF_F_LINK the update registers, and deleting the element ends it.
func TestStructOpsWithoutLink(t *testing.T) {
	x := newTable(t)
	m := x.newMap(0, func(a *sys.MapAttr) { a.Flags = 0 })
	x.errno(abi.ENOENT, sys.MapDeleteElem, x.elem(m, u32(0), nil, 0)[:16])
	x.ok(sys.MapUpdateElem, x.elem(m, u32(0), x.value(0, 0, 1), 0))
	x.errno(abi.EINVAL, sys.LinkCreate, link(m))
	x.p.Close(int(m))
	if c := x.k.Counts(); c.Maps != 1 {
		t.Errorf("live: %+v", c)
	}
	m = x.ok(sys.MapGetFDByID, sys.Words(1, 0, 0))
	x.ok(sys.MapDeleteElem, x.elem(m, u32(0), nil, 0)[:16])
	x.errno(abi.EINPROGRESS, sys.MapDeleteElem, x.elem(m, u32(0), nil, 0)[:16])
	x.p.Close(int(m))
	if d := cmp.Diff([]string{"reg 1 flags 1 tick false", "unreg 1"}, x.d.log); d != "" || x.k.Counts() != (sys.Counts{}) {
		t.Error(d, x.k.Counts())
	}
}

// A kernel that goes away ends registrations.
func TestCloseUnregisters(t *testing.T) {
	x := newTable(t)
	m := x.newMap(0, func(a *sys.MapAttr) { a.Flags = 0 })
	x.ok(sys.MapUpdateElem, x.elem(m, u32(0), x.value(0, 0, 1), 0))
	if err := x.k.Close(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"reg 1 flags 1 tick false", "unreg 1"}, x.d.log); d != "" {
		t.Error(d)
	}
	x.errno(abi.ENXIO, sys.MapGetNextID, sys.Words(0, 0))
}
