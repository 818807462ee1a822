package sys

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/verifier"
)

// Module is a part of the kernel that comes and goes: kernel functions of its own. Several modules may offer functions of the
// same name; programs get that of the one that is loaded, of the first if there are several, and vmlinux's before any.
type Module struct {
	Name   string
	Kfuncs []abi.Kfunc
	// Types are the prototypes of the functions, by the same names. They stand for themselves: types of vmlinux that they
	// mention are repeated.
	Types []*btf.Func
	// Allow tells by an error why a program may not call a function; nil: all may call all.
	Allow func(p *Prog, name string) error
}

// module is a loaded one.
type module struct {
	*Module
	btf    *BTF
	kfuncs []abi.Kfunc // under their names here
	users  int         // programs that hold it
}

// maxModules is MAX_KFUNC_BTFS, how many a program may call.
const maxModules = 256

// moduleFunc is what a module's function is called where names have to tell them all apart, as in section names.
func moduleFunc(module, name string) string { return module + ":" + name }

// LoadModule makes a module's functions known to programs that are loaded from now on. Its types are a BTF object that
// processes find by its id.
func (k *Kernel) LoadModule(m *Module) error {
	if m.Name == "" || strings.ContainsAny(m.Name, ": ") {
		return refuse(abi.EINVAL, "module %q: not a name", m.Name)
	}
	if k.module(m.Name) >= 0 {
		return refuse(abi.EEXIST, "module %s is loaded", m.Name)
	}
	l := &module{Module: m}
	var types []btf.Type
	for _, f := range m.Kfuncs {
		i := slices.IndexFunc(m.Types, func(t *btf.Func) bool { return t.Name == f.Name })
		switch {
		case i < 0:
			return refuse(abi.ENOENT, "module %s: function %s has no type", m.Name, f.Name)
		case f.Call == nil:
			return refuse(abi.EINVAL, "module %s: function %s has no body", m.Name, f.Name)
		}
		types = append(types, m.Types[i])
		f.Name = moduleFunc(m.Name, f.Name)
		l.kfuncs = append(l.kfuncs, f)
	}
	if len(types) == 0 {
		return refuse(abi.EINVAL, "module %s has no functions", m.Name)
	}
	b, err := btf.NewBuilder(types, nil)
	if err != nil {
		return fmt.Errorf("module %s: %w", m.Name, err)
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		return fmt.Errorf("module %s: %w", m.Name, err)
	}
	l.btf = &BTF{k: k, raw: raw, module: m.Name, refs: 1}
	if l.btf.strings, err = checkBTF(raw); err != nil {
		return fmt.Errorf("module %s: %w", m.Name, err)
	}
	l.btf.nstr = len(l.btf.strings)
	if l.btf.spec, err = btf.LoadSpecFromReader(bytes.NewReader(raw)); err != nil {
		return fmt.Errorf("module %s: %w", m.Name, err)
	}
	l.btf.id = k.btfs.add(l.btf)
	k.modules, k.kfuncs = append(k.modules, l), nil
	return nil
}

// RemoveModule takes a module's functions away. It is refused while a program holds the module, as delete_module is.
func (k *Kernel) RemoveModule(name string) error {
	i := k.module(name)
	switch {
	case i < 0:
		return refuse(abi.ENOENT, "module %s is not loaded", name)
	case k.modules[i].users > 0:
		return refuse(abi.EAGAIN, "module %s is in use by %d programs", name, k.modules[i].users)
	}
	m := k.modules[i]
	k.modules, k.kfuncs = slices.Delete(k.modules, i, i+1), nil
	m.btf.put()
	return nil
}

func (k *Kernel) module(name string) int {
	return slices.IndexFunc(k.modules, func(m *module) bool { return m.Name == name })
}

// Modules are the loaded modules in the order in which they came, for linkers.
func (k *Kernel) Modules() []link.Module {
	var out []link.Module
	for _, m := range k.modules {
		out = append(out, link.Module{Name: m.Name, BTF: m.btf.types()})
	}
	return out
}

// ModuleFunc finds the BTF object and the id in it of a function that a linker has found in a module ("module:name").
func (k *Kernel) ModuleFunc(name string) (btfID, id uint32, ok bool) {
	mod, fn, ok := strings.Cut(name, ":")
	i := k.module(mod)
	if !ok || i < 0 {
		return 0, 0, false
	}
	b := k.modules[i].btf
	var f *btf.Func
	if b.types().TypeByName(fn, &f) != nil {
		return 0, 0, false
	}
	t, err := b.types().TypeID(f)
	return b.id, uint32(t), err == nil
}

// module is the one that the program holds.
func (p *Prog) module(name string) *module {
	return p.modules[slices.IndexFunc(p.modules, func(m *module) bool { return m.Name == name })]
}

// allow tells by an error why the program may not call a module's function.
func (p *Prog) allow(name string) error {
	mod, fn, ok := strings.Cut(name, ":")
	if !ok {
		return nil
	}
	m := p.module(mod)
	if m.Allow == nil {
		return nil
	}
	if err := m.Allow(p, fn); err != nil {
		return refuse(abi.EACCES, "calling kernel function %s is not allowed: %v", fn, err)
	}
	return nil
}

// vmlinux are the kernel's own functions.
func (k *Kernel) vmlinux() []abi.Kfunc {
	if k.rows == nil {
		if k.rows = k.opt.Kfuncs; k.opt.Functions != nil {
			k.rows = k.opt.Functions()
		}
	}
	return k.rows
}

// functions are the kernel's and the modules'.
func (k *Kernel) functions() []abi.Kfunc {
	if len(k.modules) == 0 {
		return k.vmlinux()
	}
	all := slices.Clone(k.vmlinux())
	for _, m := range k.modules {
		all = append(all, m.kfuncs...)
	}
	return all
}

// kfunc finds a function by its name, which for that of a module is moduleFunc; nil: there is none.
func (k *Kernel) kfunc(name string) *abi.Kfunc {
	if k.kfuncs == nil {
		all := k.functions()
		k.kfuncs = make(map[string]*abi.Kfunc, len(all))
		for i := range all {
			k.kfuncs[all[i].Name] = &all[i]
		}
	}
	return k.kfuncs[name]
}

// kfuncModule finds the module of a call by the place of its BTF in the array of descriptors. It follows find_kfunc_desc_btf
// (kernel/bpf/verifier.c, 7.2).
func (k *checker) kfuncModule(off int16) (*module, error) {
	if off < 0 {
		return nil, refuse(abi.EINVAL, "negative offset disallowed for kernel module function call")
	}
	if k.c.u64(atFDArray) == 0 {
		return nil, refuse(abi.EPROTO, "kfunc offset > 0 without fd_array is invalid")
	}
	fd, err := k.fdAt(int32(off))
	if err != nil {
		return nil, err
	}
	b, _, err := fdObject[*BTF](k.c.p, fd)
	if err != nil {
		return nil, &refusal{Errno(err), "invalid module BTF fd specified"}
	}
	if b.module == "" {
		return nil, refuse(abi.EINVAL, "BTF fd for kfunc is not a module BTF")
	}
	i := slices.IndexFunc(k.c.k.modules, func(m *module) bool { return m.btf == b })
	if i < 0 { // it was removed while a descriptor kept its types
		return nil, refuse(abi.ENXIO, "module %s is gone", b.module)
	}
	m := k.c.k.modules[i]
	if !slices.Contains(k.p.modules, m) {
		if len(k.p.modules) == maxModules {
			return nil, refuse(abi.E2BIG, "too many different module BTFs")
		}
		m.users++
		k.p.modules = append(k.p.modules, m)
	}
	return m, nil
}

// moduleKfunc resolves a call of a module's function.
func (k *checker) moduleKfunc(ps link.Pseudo, in *ir.Insn) error {
	m, err := k.kfuncModule(ps.Off)
	if err != nil {
		return err
	}
	t, err := m.btf.types().TypeByID(btf.TypeID(ps.Imm))
	f, ok := t.(*btf.Func)
	if err != nil || !ok {
		return refuse(abi.EINVAL, "kernel btf_id %d is not a function", ps.Imm)
	}
	k.call(moduleFunc(m.Name, f.Name), in)
	return nil
}

// moduleAttachment lets the verifier know the functions of modules beside those of the place.
func (k *checker) moduleAttachment(a *verifier.Attachment) {
	if len(k.p.modules) == 0 {
		return
	}
	rest := a.Kfunc
	a.Kfunc = func(name string) (verifier.Kfunc, error) {
		mod, fn, ok := strings.Cut(name, ":")
		if !ok {
			if rest == nil {
				return verifier.Kfunc{}, fmt.Errorf("calling kernel function %s is not allowed", name)
			}
			return rest(name)
		}
		m := k.p.module(mod)
		var f *btf.Func
		if err := m.btf.types().TypeByName(fn, &f); err != nil {
			return verifier.Kfunc{}, fmt.Errorf("kernel function %s: %w", name, err)
		}
		return verifier.Kfunc{Type: f, Flags: k.c.k.kfunc(name).Flags}, nil
	}
}
