// Package governor shows how a part of a simulated kernel other than sched_ext lets BPF programs implement its callbacks: a
// toy that chooses the frequencies of CPUs, with a type of struct_ops that no kernel has. The type is described by BTF, its
// tables are checked and registered, and Target calls the program of the table that is registered.
package governor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/loader"
	"github.com/schedsim/schedsim/vm/mem"
	"github.com/schedsim/schedsim/vm/sys"
)

// StructName is the type of struct_ops.
const StructName = "freq_governor_ops"

// Members of the struct by their index.
const (
	target = iota
	start
	maxKHz
	name
)

// Core is what a kernel would have of this: it knows the type and asks the governor that is registered.
type Core struct {
	mem    *mem.Space
	kernel *sys.Kernel
	types  *btf.Spec
	ctx    uint64 // where arguments lie
	args   []byte

	reg *governor
}

// governor is a registered table.
type governor struct {
	name   string
	maxKHz uint32
	progs  []*sys.Prog
}

// New makes a core without a governor.
func New(host abi.Host) (*Core, error) {
	types, err := vmlinux()
	if err != nil {
		return nil, err
	}
	c := &Core{types: types}
	if c.mem, err = mem.New(mem.Options{Reserve: 4 << 20}); err != nil {
		return nil, err
	}
	if c.ctx, c.args, err = c.mem.Alloc(3*8, 8); err != nil {
		return nil, errors.Join(err, c.mem.Close())
	}
	c.kernel, err = sys.New(sys.Options{Mem: c.mem, Host: host, BTF: types, Maps: 16, StructOps: []*sys.StructOpsType{{
		Name:        StructName,
		CheckMember: checkMember,
		InitMember:  initMember,
		Reg:         c.register,
		Unreg:       func(*sys.StructOps) { c.reg = nil },
	}}})
	if err != nil {
		return nil, errors.Join(err, c.mem.Close())
	}
	return c, nil
}

// vmlinux is the BTF of a kernel with nothing but the struct.
func vmlinux() (*btf.Spec, error) {
	u32 := &btf.Int{Name: "unsigned int", Size: 4}
	char := &btf.Int{Name: "char", Size: 1, Encoding: btf.Char}
	u := func(names ...string) (p []btf.FuncParam) {
		for _, n := range names {
			p = append(p, btf.FuncParam{Name: n, Type: u32})
		}
		return p
	}
	fn := func(ret btf.Type, p []btf.FuncParam) btf.Type {
		return &btf.Pointer{Target: &btf.FuncProto{Return: ret, Params: p}}
	}
	b, err := btf.NewBuilder([]btf.Type{&btf.Struct{Name: StructName, Size: 40, Members: []btf.Member{
		target: {Name: "target", Type: fn(u32, u("cpu", "util", "khz"))},
		start:  {Name: "start", Type: fn((*btf.Void)(nil), u("cpu")), Offset: 8 * 8},
		maxKHz: {Name: "max_khz", Type: u32, Offset: 16 * 8},
		name:   {Name: "name", Type: &btf.Array{Index: u32, Type: char, Nelems: 16}, Offset: 20 * 8},
	}}}, nil)
	if err != nil {
		return nil, err
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		return nil, err
	}
	return btf.LoadSpecFromReader(bytes.NewReader(raw))
}

// checkMember: governors are asked with a runqueue locked.
func checkMember(m *sys.StructOpsMember, p *sys.Prog) error {
	if p.Sleepable() {
		return sys.Refuse(abi.EINVAL, "%s must not sleep", m.Name)
	}
	return nil
}

func initMember(s *sys.StructOps, m *sys.StructOpsMember, data []byte) (bool, error) {
	if s.Data == nil {
		s.Data = &governor{}
	}
	g := s.Data.(*governor)
	switch m.Index {
	case maxKHz:
		if g.maxKHz = binary.LittleEndian.Uint32(data); g.maxKHz == 0 {
			return false, sys.Refuse(abi.ERANGE, "max_khz is 0")
		}
	case name:
		text, _, _ := strings.Cut(string(data), "\x00")
		g.name = text
	default:
		return false, nil
	}
	return true, nil
}

func (c *Core) register(s *sys.StructOps) error {
	switch {
	case c.reg != nil:
		return sys.Refuse(abi.EBUSY, "%s is registered", c.reg.name)
	case s.Progs[target] == nil:
		return sys.Refuse(abi.EINVAL, "there is no target")
	}
	c.reg = s.Data.(*governor)
	c.reg.progs = s.Progs
	return nil
}

// Load loads an object and registers one of its tables. The func that it returns takes the governor off again.
func (c *Core) Load(file string, object []byte, table string) (unload func(), err error) {
	o, err := elf.Read(file, bytes.NewReader(object))
	if err != nil {
		return nil, err
	}
	linked, err := link.Link(o, kernel{c.types, c.kernel.Modules()}, link.Options{})
	if err != nil {
		return nil, err
	}
	var memory sys.Buffers
	l, err := loader.Load(c.kernel.NewProcess(&memory), &memory, linked, loader.Options{})
	if err != nil {
		return nil, err
	}
	if err := l.Attach(table); err != nil {
		l.Close()
		return nil, err
	}
	return l.Close, nil
}

// kernel shows the linker a kernel with no configuration.
type kernel struct {
	types   *btf.Spec
	modules []link.Module
}

func (k kernel) BTF() (*btf.Spec, error)           { return k.types, nil }
func (kernel) Kconfig(string) (string, bool)       { return "", false }
func (kernel) EnumValue(string) (v uint64, _ bool) { return 0, false }
func (kernel) Version() uint32                     { return 0x70200 }
func (k kernel) Modules() []link.Module            { return k.modules }

// Driver is a module that knows the hardware: governors that are loaded after it may ask it for the frequency nearest to one
// that they want (freq_round). Every driver offers that function, and one of them is loaded.
type Driver struct {
	Name  string
	Round func(khz uint32) uint32
}

// Insert loads a driver.
func (c *Core) Insert(d Driver) error {
	u32 := &btf.Int{Name: "unsigned int", Size: 4}
	return c.kernel.LoadModule(&sys.Module{
		Name: d.Name,
		Kfuncs: []abi.Kfunc{{Name: "freq_round", Call: func(_ *abi.Call, a *abi.Args) uint64 {
			return uint64(d.Round(uint32(a[0])))
		}}},
		Types: []*btf.Func{{Name: "freq_round", Linkage: btf.GlobalFunc,
			Type: &btf.FuncProto{Return: u32, Params: []btf.FuncParam{{Name: "khz", Type: u32}}}}},
		Allow: func(p *sys.Prog, name string) error {
			if t, _ := p.Member(); t == nil || t.Name != StructName {
				return fmt.Errorf("%s is for governors", name)
			}
			return nil
		},
	})
}

// Remove takes a driver off. It is refused while a governor uses it.
func (c *Core) Remove(driver string) error { return c.kernel.RemoveModule(driver) }

// Name is the governor's, "" while there is none.
func (c *Core) Name() string {
	if c.reg == nil {
		return ""
	}
	return c.reg.name
}

// call runs a callback.
func (c *Core) call(member int, args ...uint32) (uint64, error) {
	p := c.reg.progs[member]
	if p == nil {
		return 0, nil // optional
	}
	for i, a := range args {
		binary.LittleEndian.PutUint64(c.args[8*i:], uint64(a))
	}
	r0, fault := p.Run(c.ctx)
	if fault != nil {
		return 0, fmt.Errorf("governor %s: %w", c.reg.name, fault)
	}
	return r0, nil
}

// Start tells the governor that it is responsible for a CPU.
func (c *Core) Start(cpu uint32) error {
	if c.reg == nil {
		return nil
	}
	_, err := c.call(start, cpu)
	return err
}

// Target asks for the frequency of a CPU at khz of which util/1024 is in use. Without a governor it stays.
func (c *Core) Target(cpu, util, khz uint32) (uint32, error) {
	if c.reg == nil {
		return khz, nil
	}
	r0, err := c.call(target, cpu, util, khz)
	return min(uint32(r0), c.reg.maxKHz), err
}

// Close ends the core.
func (c *Core) Close() error { return errors.Join(c.kernel.Close(), c.mem.Close()) }
