package bpf

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/elf"
)

// Member is a new value for a member of the scheduler's table, which is set before it is loaded, as libbpf's shadow types
// let loaders do. Value is a number, enumerators of the kernel joined by "|" (SCX_OPS_ may be left out), text for an array
// of characters; for a callback the name of a program, or NULL.
type Member struct{ Name, Value string }

// ParseMembers reads "flags=SWITCH_PARTIAL|ENQ_LAST,timeout_ms=5000,dispatch=NULL".
func ParseMembers(s string) ([]Member, error) {
	var out []Member
	for part := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(part, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" || value == "" {
			return nil, fmt.Errorf("%q: expected member=value", part)
		}
		out = append(out, Member{name, value})
	}
	return out, nil
}

// SplitTable separates "FILE.bpf.o:TABLE" into the file and the name of a table, "" where there is none.
func SplitTable(path string) (file, table string) {
	if i := strings.LastIndex(path, ".o:"); i >= 0 {
		return path[:i+2], path[i+3:]
	}
	return path, ""
}

// schedulerTypes are the structs that are a scheduler, flavors left out.
func isScheduler(s *elf.StructOps) bool {
	base, _, _ := strings.Cut(s.Type.Name, "___")
	return base == "sched_ext_ops" || base == "sched_ext_ops_cid"
}

// scheduler finds the table of the object that is the scheduler: the only one, or the one called table. Others are not
// created.
func scheduler(obj *elf.Object, table string) (*elf.StructOps, error) {
	var all, auto []*elf.StructOps
	var names, others []string
	for _, s := range obj.StructOps {
		if !isScheduler(s) {
			others = append(others, s.Type.Name)
			continue
		}
		all, names = append(all, s), append(names, s.Name)
		if s.AutoCreate {
			auto = append(auto, s)
		}
	}
	var chosen *elf.StructOps
	switch {
	case len(all) == 0 && len(others) > 0:
		return nil, fmt.Errorf("%s: no struct sched_ext_ops in .struct_ops.link: the object is no scheduler; found struct %s ('schedsim verify' looks at any program)", obj.Name, others[0])
	case len(all) == 0:
		return nil, fmt.Errorf("%s: no struct sched_ext_ops in .struct_ops.link: the object is no scheduler ('schedsim verify' looks at any program)", obj.Name)
	case table != "":
		for _, s := range all {
			if s.Name == table {
				chosen = s
			}
		}
		if chosen == nil {
			return nil, fmt.Errorf("%s: no scheduler %q; there is %s%s", obj.Name, table, strings.Join(names, ", "), elf.DidYouMean(table, names))
		}
	case len(auto) == 1:
		chosen = auto[0]
	case len(all) == 1:
		return nil, fmt.Errorf("%s: the scheduler %s is optional (SEC \"?...\"); %s:%s chooses it", obj.Name, names[0], obj.Name, names[0])
	default:
		return nil, fmt.Errorf("%s: %d schedulers (%s); %s:%s chooses the first", obj.Name, len(all), strings.Join(names, ", "), obj.Name, names[0])
	}
	for _, s := range all {
		s.AutoCreate = s == chosen
	}
	return chosen, nil
}

// shadows gives members of the scheduler's table new values.
func (p *Policy) shadows(members []Member) error {
	for _, m := range members {
		if err := shadow(p.obj, p.tbl, p.opt.Kernel, m); err != nil {
			return err
		}
	}
	return nil
}

// shadow gives a member its new value.
func shadow(obj *elf.Object, t *elf.StructOps, k *kernels.Kernel, edit Member) error {
	var names []string
	for i := range t.Members {
		m := &t.Members[i]
		names = append(names, m.Name)
		if m.Name != edit.Name {
			continue
		}
		err := setShadow(obj, t, m, k, edit.Value)
		if err != nil {
			err = fmt.Errorf("%s: struct %s %s, member %s: %w", obj.Name, t.Type.Name, t.Name, m.Name, err)
		}
		return err
	}
	return fmt.Errorf("%s: struct %s %s: no member %q%s", obj.Name, t.Type.Name, t.Name, edit.Name, elf.DidYouMean(edit.Name, names))
}

func setShadow(obj *elf.Object, t *elf.StructOps, m *elf.Member, k *kernels.Kernel, value string) error {
	if m.Func {
		return setCallback(obj, m, value)
	}
	bytes := make([]byte, m.Size)
	switch x := btf.UnderlyingType(m.Type).(type) {
	case *btf.Int, *btf.Enum:
		n, err := number(k, value)
		if err != nil {
			return err
		}
		if m.Size < 8 && n>>(8*m.Size) != 0 && ^n>>(8*m.Size-1) != 0 {
			return fmt.Errorf("%s does not fit %d bytes", value, m.Size)
		}
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], n)
		copy(bytes, w[:])
	case *btf.Array:
		if e, ok := btf.UnderlyingType(x.Type).(*btf.Int); !ok || e.Size != 1 {
			return fmt.Errorf("an array, which has no single value")
		}
		if len(value) >= len(bytes) {
			return fmt.Errorf("%q: at most %d characters fit", value, len(bytes)-1)
		}
		copy(bytes, value)
	default:
		return fmt.Errorf("neither a number nor a callback")
	}
	m.Bytes = bytes
	copy(t.Data[m.Off:], bytes)
	return nil
}

func setCallback(obj *elf.Object, m *elf.Member, value string) error {
	prog := value
	if value == "NULL" || value == "0" {
		prog = ""
	} else {
		var names []string
		for _, p := range obj.Programs {
			if p.Kind == elf.KindStructOps {
				names = append(names, p.Name)
			}
		}
		if !slices.Contains(names, value) {
			return fmt.Errorf("%q is neither NULL nor a struct_ops program of the object%s", value, elf.DidYouMean(value, names))
		}
	}
	for _, p := range obj.Programs {
		if p.Name == m.Prog && prog != m.Prog {
			p.AutoLoad = false // unless another member wants it
		}
	}
	m.Prog = prog
	return nil
}

// lateMembers are callbacks that came after the first kernels with sched_ext. Loaders set them to NULL where a kernel does not have them
// (SCX_OPS_OPEN in include/scx/compat.h of the SCX project); any other is refused then.
var lateMembers = [...]string{"cgroup_set_bandwidth", "cgroup_set_idle", "sub_attach", "sub_detach"}

// leaveOut does that.
func (p *Policy) leaveOut() error {
	base, _, _ := strings.Cut(p.tbl.Type.Name, "___")
	for i := range p.tbl.Members {
		m := &p.tbl.Members[i]
		if _, _, ok := p.opt.Kernel.Field(base + "." + m.Name); ok || m.Prog == "" || !slices.Contains(lateMembers[:], m.Name) {
			continue
		}
		p.notice(fmt.Sprintf("%s: kernel %s has no ops.%s, which is left out as its loader does", p.file, p.opt.Kernel.Version, m.Name))
		if err := setCallback(p.obj, m, "NULL"); err != nil {
			return err
		}
	}
	return nil
}

// number reads a number, or enumerators of the kernel.
func number(k *kernels.Kernel, s string) (uint64, error) {
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return uint64(n), nil
	}
	sum := uint64(0)
	for word := range strings.SplitSeq(s, "|") {
		word = strings.TrimSpace(word)
		if n, err := strconv.ParseUint(word, 0, 64); err == nil {
			sum |= n
			continue
		}
		n, ok := k.EnumValue(word)
		if !ok {
			n, ok = k.EnumValue("SCX_OPS_" + word)
		}
		if !ok {
			return 0, fmt.Errorf("%q is neither a number nor a name of the kernel%s", word, elf.DidYouMean(word, flagNames(k, strings.HasPrefix(word, "SCX_OPS_"))))
		}
		sum |= n
	}
	return sum, nil
}

// flagNames are the flags of schedulers.
func flagNames(k *kernels.Kernel, prefix bool) []string {
	var e *btf.Enum
	if k.BTF().TypeByName("scx_ops_flags", &e) != nil {
		return nil
	}
	var out []string
	for _, v := range e.Values {
		if name, ok := strings.CutPrefix(v.Name, "SCX_OPS_"); ok && name != "ALL_FLAGS" && !strings.HasPrefix(name, "HAS_") {
			if prefix {
				name = v.Name
			}
			out = append(out, name)
		}
	}
	return out
}
