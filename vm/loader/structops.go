package loader

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/sys"
)

func isKfuncCall(in *ir.Insn) bool { return in.Op == ir.CallKfunc }

// Attach registers the struct_ops table with that name: its map gets the value, and a link if the table asks for one. It
// follows bpf_map__attach_struct_ops. Errors are the kernel's reasons.
func (l *Object) Attach(name string) error {
	defer l.u.Reset()
	for _, t := range l.o.StructOps {
		if t.Name == name {
			return l.attach(t)
		}
	}
	return fmt.Errorf("%s: the table %s was dropped while linking", l.o.Name, name)
}

func (l *Object) attach(t *link.StructOps) error {
	st, ids, ok := l.p.Kernel().StructOps(t.Type)
	if !ok {
		return fmt.Errorf("%s: struct %s %s: the kernel does not offer that type", l.o.Name, t.Type, t.Name)
	}
	a := sys.MapAttr{Type: sys.TypeStructOps, KeySize: 4, ValueSize: ids.ValueSize, MaxEntries: 1, BTF: l.btf, VmlinuxType: ids.Value, Name: progName(t.Name)}
	if t.Link {
		a.Flags = sys.FlagLink
	}
	fd, err := l.call(sys.MapCreate, a.Bytes())
	if err != nil {
		return fmt.Errorf("%s: struct %s %s: %w", l.o.Name, t.Type, t.Name, err)
	}
	l.opsFD[t.Name] = fd
	value := make([]byte, ids.ValueSize)
	for _, m := range t.Members {
		if err := l.setMember(value[ids.DataOff:], st, m); err != nil {
			return fmt.Errorf("%s: struct %s %s, member %s: %w", l.o.Name, t.Type, t.Name, m.Name, err)
		}
	}
	if _, err := l.call(sys.MapUpdateElem, sys.ElemAttr{Map: fd, Key: l.u.Add(make([]byte, 4)), Value: l.u.Add(value)}.Bytes()); err != nil {
		if rest, ok := strings.CutPrefix(err.Error(), "struct "+t.Type+", "); ok {
			return &reason{fmt.Sprintf("%s: struct %s %s, %s", l.o.Name, t.Type, t.Name, rest), err}
		}
		return fmt.Errorf("%s: struct %s %s: %w", l.o.Name, t.Type, t.Name, err)
	}
	if !t.Link {
		return nil
	}
	link, err := l.call(sys.LinkCreate, sys.Words(uint32(fd), 0, sys.AttachStructOps, 0))
	if err != nil {
		return fmt.Errorf("%s: struct %s %s: %w", l.o.Name, t.Type, t.Name, err)
	}
	l.linkFD[t.Name] = link
	return nil
}

// setMember follows bpf_map__init_kern_struct_ops and bpf_map_prepare_vdata: programs become descriptors.
func (l *Object) setMember(data []byte, st *sys.StructOpsType, m link.Member) error {
	for _, km := range st.Members {
		if km.Name != m.Name {
			continue
		}
		if m.Kind != link.MemberFunc {
			copy(data[km.Off:km.Off+km.Size], m.Bytes)
			return nil
		}
		if m.Prog == "" {
			return nil
		}
		fd := l.progFD(m.Prog)
		if fd == 0 {
			return fmt.Errorf("program %s is not loaded", m.Prog)
		}
		binary.LittleEndian.PutUint64(data[km.Off:], uint64(fd))
		return nil
	}
	return fmt.Errorf("the kernel's struct has no such member")
}

// Close closes all descriptors of the object: links first, which ends what they registered.
func (l *Object) Close() {
	for _, t := range l.o.StructOps {
		for _, fds := range []map[string]int32{l.linkFD, l.opsFD} {
			if fd := fds[t.Name]; fd != 0 {
				l.p.Close(int(fd))
				delete(fds, t.Name)
			}
		}
	}
	for _, p := range l.loaded {
		l.p.Close(int(p.fd))
	}
	l.loaded = nil
	for i, fd := range l.mapFD {
		if fd != 0 {
			l.p.Close(int(fd))
			l.mapFD[i] = 0
		}
	}
	if l.btf != 0 {
		l.p.Close(int(l.btf))
		l.btf = 0
	}
}
