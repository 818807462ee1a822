package sys

import "github.com/schedsim/schedsim/vm/abi"

// Link is a link object: the registration of a struct_ops value, the place where a tracing program is attached, or what an
// iterator is read over.
type Link struct {
	k    *Kernel
	id   uint32
	refs int
	m    *Map // nil once detached

	prog *Prog     // that is attached, nil for struct_ops
	off  func()    // takes it off; nil once detached
	iter *iterLink // of a program of the type iter
}

// The types of links (enum bpf_link_type).
const (
	linkTypeRawTracepoint = 1
	linkTypeTracing       = 2
	linkTypeIter          = 4
	linkTypeStructOps     = 9
)

// ID is the link's id.
func (l *Link) ID() uint32 { return l.id }

// Map is the map whose value is registered, nil once the link was detached.
func (l *Link) Map() *Map { return l.m }

func (l *Link) hold() { l.refs++ }

// put follows bpf_link_put: without its last reference the link ends the registration.
func (l *Link) put() {
	if l.refs--; l.refs > 0 {
		return
	}
	l.k.links.remove(l.id)
	l.detach()
}

// detach follows bpf_struct_ops_map_link_detach.
func (l *Link) detach() {
	if l.iter != nil {
		l.iter = nil
		l.prog.put()
	}
	if off := l.off; off != nil {
		l.off = nil
		off()
		l.prog.put()
	}
	if m := l.m; m != nil {
		l.m = nil
		m.ops.unreg()
		m.put()
	}
}

// registrable follows bpf_struct_ops_valid_to_reg.
func (m *Map) registrable() bool {
	return m.ops != nil && m.flags&FlagLink != 0 && m.ops.state == stateReady
}

// linkCreate follows link_create for struct_ops values and programs of the type tracing.
func (c *call) linkCreate() (int64, error) {
	if err := c.checkAttr(LinkCreate); err != nil {
		return 0, err
	}
	if c.u32(8) != AttachStructOps {
		p, _, err := fdObject[*Prog](c.p, c.fd(0))
		if err != nil {
			return 0, err
		}
		switch {
		case p.typ != ProgTypeTracing || p.attachType != c.u32(8):
		case p.attachType == AttachTraceIter:
			return c.attachIter(p)
		default:
			return c.attachTracing(p)
		}
		return 0, refuse(abi.EINVAL, "attach type %d: nothing to attach to", c.u32(8))
	}
	m, _, err := fdObject[*Map](c.p, c.fd(0))
	switch {
	case err != nil:
		return 0, err
	case !m.registrable():
		return 0, refuse(abi.EINVAL, "map %q has no value that can be linked", m.name)
	case c.p.place() < 0:
		return 0, abi.EMFILE
	}
	if r := m.ops.typ.Reg; r != nil {
		if err := r(m.ops.value); err != nil {
			return 0, err
		}
	}
	m.hold()
	l := &Link{k: c.k, refs: 1, m: m}
	l.id = c.k.links.add(l)
	return c.p.install(l, 0)
}

// attachTracing follows bpf_tracing_prog_attach and bpf_raw_tp_link_attach for a program that knows its place by BTF.
func (c *call) attachTracing(p *Prog) (int64, error) {
	if p.link.Attach == "" {
		return 0, refuse(abi.EINVAL, "program %q: no BTF of what it attaches to", p.Name())
	}
	return c.attachTrace(p, p.link.Attach)
}

// rawTracepointOpen follows bpf_raw_tracepoint_open.
func (c *call) rawTracepointOpen() (int64, error) {
	if err := c.checkAttr(RawTracepointOpen); err != nil {
		return 0, err
	}
	p, _, err := fdObject[*Prog](c.p, c.fd(8))
	if err != nil {
		return 0, err
	}
	switch p.typ {
	case ProgTypeTracing:
		if c.u64(0) != 0 {
			return 0, refuse(abi.EINVAL, "program %q knows its place by BTF: no name is expected", p.Name())
		}
		return c.attachTracing(p)
	case ProgTypeRawTracepoint:
		name, ok, err := c.cString(c.u64(0), tracepointNameMax)
		switch {
		case err != nil:
			return 0, err
		case !ok:
			return 0, refuse(abi.EINVAL, "the name of the tracepoint is too long")
		}
		return c.attachTrace(p, name)
	}
	return 0, refuse(abi.EINVAL, "program type %d has no raw tracepoint", p.typ)
}

// tracepointNameMax bounds the name in RAW_TRACEPOINT_OPEN.
const tracepointNameMax = 128

// attachTrace makes the link of a tracing program.
func (c *call) attachTrace(p *Prog, hook string) (int64, error) {
	if c.p.place() < 0 {
		return 0, abi.EMFILE
	}
	if c.k.opt.Trace == nil {
		return 0, refuse(abi.ENOENT, "%s: never happens here", hook)
	}
	off, err := c.k.opt.Trace(p, hook)
	if err != nil {
		return 0, err
	}
	p.hold()
	l := &Link{k: c.k, refs: 1, prog: p, off: off}
	l.id = c.k.links.add(l)
	return c.p.install(l, 0)
}

// linkUpdate follows link_update and bpf_struct_ops_map_link_update.
func (c *call) linkUpdate() (int64, error) {
	if err := c.checkAttr(LinkUpdate); err != nil {
		return 0, err
	}
	flags := c.u32(8)
	if flags&^flagReplace != 0 {
		return 0, refuse(abi.EINVAL, "flags %#x", flags)
	}
	l, _, err := fdObject[*Link](c.p, c.fd(0))
	if err != nil {
		return 0, err
	}
	if l.prog != nil {
		return 0, c.linkUpdateProg(l, flags)
	}
	m, _, err := fdObject[*Map](c.p, c.fd(4))
	if err != nil {
		return 0, err
	}
	var old *Map
	if flags&flagReplace != 0 {
		if old, _, err = fdObject[*Map](c.p, c.fd(12)); err != nil {
			return 0, err
		}
	} else if c.u32(12) != 0 {
		return 0, refuse(abi.EINVAL, "a map to be replaced, but not the flag")
	}
	switch {
	case !m.registrable():
		return 0, refuse(abi.EINVAL, "map %q has no value that can be linked", m.name)
	case m.ops.typ.Update == nil:
		return 0, refuse(abi.EOPNOTSUPP, "struct %s cannot be replaced while it is registered", m.ops.typ.Name)
	case l.m == nil:
		return 0, abi.ENOLINK
	case old != nil && l.m != old:
		return 0, refuse(abi.EPERM, "another map is linked")
	case l.m.ops.typ.StructOpsType != m.ops.typ.StructOpsType:
		return 0, refuse(abi.EINVAL, "another type of struct_ops is linked")
	}
	if err := m.ops.typ.Update(m.ops.value, l.m.ops.value); err != nil {
		return 0, err
	}
	m.hold()
	was := l.m
	l.m = m
	was.put()
	return 0, nil
}

// linkUpdateProg is LINK_UPDATE of a link to a program.
func (c *call) linkUpdateProg(l *Link, flags uint32) error {
	p, _, err := fdObject[*Prog](c.p, c.fd(4))
	if err != nil {
		return err
	}
	var old *Prog
	if flags&flagReplace != 0 {
		if old, _, err = fdObject[*Prog](c.p, c.fd(12)); err != nil {
			return err
		}
	} else if c.u32(12) != 0 {
		return refuse(abi.EINVAL, "a program to be replaced, but not the flag")
	}
	if l.iter == nil {
		return refuse(abi.EINVAL, "the program of this link cannot be replaced")
	}
	return l.updateIter(p, old)
}

// linkDetach follows link_detach.
func (c *call) linkDetach() (int64, error) {
	if err := c.checkAttr(LinkDetach); err != nil {
		return 0, err
	}
	l, _, err := fdObject[*Link](c.p, c.fd(0))
	if err != nil {
		return 0, err
	}
	if l.prog != nil {
		return 0, refuse(abi.EOPNOTSUPP, "links of programs cannot be detached")
	}
	l.detach()
	return 0, nil
}
