package progtype

import (
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/verifier"
)

// sizes is a set of sizes of accesses: bit n is for n bytes.
type sizes uint16

const (
	no     sizes = 0
	one    sizes = 1 << 1
	full   sizes = 1 << 4
	wide   sizes = 1 << 8
	half   sizes = 1 << 2
	narrow sizes = one | half | full
	any8   sizes = narrow | wide
)

// rule is for accesses that start in the bytes from..to of a context.
type rule struct {
	from, to    int
	read, write sizes
	kind        verifier.FieldKind
	nullable    bool
	typ         string // of a pointer to a kernel struct, trusted
}

// fields is a context that the kernel translates, access by access: the first rule for an offset counts.
type fields struct {
	rules []rule
	types *btf.Spec
}

var _ verifier.Context = (*fields)(nil)

// Region is 0: offsets are constant.
func (*fields) Region() uint32 { return 0 }

// Movable is false.
func (*fields) Movable() bool { return false }

// Access looks up the rule.
func (f *fields) Access(off, size int, write bool) (verifier.Field, bool) {
	if off < 0 || off%size != 0 {
		return verifier.Field{}, false
	}
	for i := range f.rules {
		r := &f.rules[i]
		if off < r.from || off >= r.to {
			continue
		}
		ok := r.read
		if write {
			ok = r.write
		}
		// A wide access covers two words of an array of them.
		if ok>>size&1 == 0 || size > 4 && off+size > r.to {
			return verifier.Field{}, false
		}
		out := verifier.Field{Kind: r.kind, Nullable: r.nullable}
		if r.typ != "" {
			var st *btf.Struct
			if f.types == nil || f.types.TypeByName(r.typ, &st) != nil {
				return verifier.Field{Unsupported: "that points to struct " + r.typ}, false
			}
			out.Struct, out.Trusted = st, true
		}
		return out, true
	}
	return verifier.Field{}, false
}

// Offsets in struct __sk_buff of include/uapi/linux/bpf.h.
const (
	skbMark       = 8
	skbQueue      = 12
	skbPriority   = 32
	skbTCIndex    = 44
	skbCB         = 48
	skbHash       = 68
	skbClass      = 72
	skbData       = 76
	skbDataEnd    = 80
	skbNAPI       = 84
	skbFamily     = 88
	skbRemoteIP4  = 92
	skbRemotePort = 132
	skbMeta       = 140
	skbFlowKeys   = 144
	skbTstamp     = 152
	skbWireLen    = 160
	skbGSOSegs    = 164
	skbSk         = 168
	skbTstampType = 180
	skbHwtstamp   = 184
	skbSize       = 192
)

func word(at int) rule  { return rule{from: at, to: at + 4} }
func dword(at int) rule { return rule{from: at, to: at + 8} }

// skbContext is struct __sk_buff: hidden ranges come first, then what may be written, then what all programs with packets
// have. It follows bpf_skb_is_valid_access.
func skbContext(packet bool, hidden []rule, writable ...rule) []rule {
	out := append([]rule(nil), hidden...)
	for _, w := range writable {
		w.read, w.write = narrow, full
		if w.from == skbTstamp {
			w.read, w.write = wide, wide
		}
		out = append(out, w)
	}
	data := rule{from: skbData, to: skbDataEnd, read: full, kind: verifier.FieldPacket}
	end := rule{from: skbDataEnd, to: skbNAPI, read: full, kind: verifier.FieldPacketEnd}
	meta := rule{from: skbMeta, to: skbFlowKeys, read: full, kind: verifier.FieldPacketMeta}
	if !packet {
		data, end, meta = word(skbData), word(skbDataEnd), word(skbMeta)
	}
	return append(out,
		rule{from: 0, to: skbCB, read: narrow},
		rule{from: skbCB, to: skbHash, read: any8, write: any8},
		rule{from: skbHash, to: skbData, read: narrow},
		data, end,
		rule{from: skbNAPI, to: skbRemoteIP4, read: narrow},
		rule{from: skbRemoteIP4, to: skbRemotePort, read: full},
		rule{from: skbRemotePort, to: skbMeta, read: narrow},
		meta,
		dword(skbFlowKeys),
		rule{from: skbTstamp, to: skbWireLen, read: wide},
		rule{from: skbWireLen, to: skbSk, read: narrow},
		rule{from: skbSk, to: skbSk + 8, read: wide, kind: verifier.FieldSockCommon, nullable: true},
		rule{from: skbSk + 8, to: skbTstampType, read: narrow},
		rule{from: skbTstampType, to: skbHwtstamp},
		rule{from: skbHwtstamp, to: skbSize, read: wide},
	)
}

var skbAddress = rule{from: skbFamily, to: skbMeta}

// contextOf are the rules for a type of program, nil for one that is not known here; section is its whole name.
func contextOf(k kind, section string) []rule {
	switch k {
	case socketFilter: // sk_filter_is_valid_access
		return skbContext(false, []rule{word(skbClass), skbAddress, dword(skbTstamp), word(skbWireLen), dword(skbHwtstamp)})
	case schedCls, schedAct: // tc_cls_act_is_valid_access
		return skbContext(true, []rule{skbAddress, {from: skbTstampType, to: skbTstampType + 1, read: one}}, word(skbMark), word(skbTCIndex),
			word(skbPriority), word(skbClass), dword(skbTstamp), word(skbQueue))
	case cgroupSkb: // cg_skb_is_valid_access
		return skbContext(true, []rule{word(skbClass), word(skbMeta), word(skbWireLen)}, word(skbMark), word(skbPriority), dword(skbTstamp))
	case lwtIn, lwtOut, lwtXmit, lwtSeg6: // lwt_is_valid_access
		return skbContext(true, []rule{word(skbClass), skbAddress, word(skbMeta), dword(skbTstamp), word(skbWireLen), dword(skbHwtstamp)},
			word(skbMark), word(skbPriority))
	case skSkb: // sk_skb_is_valid_access
		return append([]rule{{from: skbCB, to: skbHash, read: any8}}, skbContext(true, []rule{word(skbClass), word(skbMeta), dword(skbTstamp),
			word(skbWireLen), dword(skbHwtstamp), word(skbMark)}, word(skbTCIndex), word(skbPriority))...)
	case flowDissector: // flow_dissector_is_valid_access
		return []rule{{from: skbData, to: skbDataEnd, read: full, kind: verifier.FieldPacket}, {from: skbDataEnd, to: skbNAPI, read: full, kind: verifier.FieldPacketEnd},
			{from: skbFlowKeys, to: skbTstamp, read: wide, kind: verifier.FieldFlowKeys}}
	case xdp: // xdp_is_valid_access
		r := []rule{{from: 0, to: 4, read: full, kind: verifier.FieldPacket}, {from: 4, to: 8, read: full, kind: verifier.FieldPacketEnd},
			{from: 8, to: 12, read: full, kind: verifier.FieldPacketMeta}, {from: 12, to: 20, read: full}}
		if strings.HasSuffix(section, "/devmap") {
			r = append(r, rule{from: 20, to: 24, read: full})
		}
		return r
	case skMsg: // sk_msg_is_valid_access
		return []rule{{from: 0, to: 8, read: wide, kind: verifier.FieldPacket}, {from: 8, to: 16, read: wide, kind: verifier.FieldPacketEnd},
			{from: 16, to: 72, read: full}, {from: 72, to: 80, read: wide, kind: verifier.FieldSocket}}
	case sockOps: // sock_ops_is_valid_access
		return []rule{{from: 4, to: 8, read: full, write: full}, {from: 0, to: 164, read: full}, {from: 164, to: 168, read: full, write: full},
			{from: 168, to: 184, read: wide}, {from: 184, to: 192, read: wide, kind: verifier.FieldSocket, nullable: true},
			{from: 192, to: 200, read: wide, kind: verifier.FieldPacket}, {from: 200, to: 208, read: wide, kind: verifier.FieldPacketEnd},
			{from: 208, to: 212, read: full}, {from: 212, to: 216, read: narrow}, {from: 216, to: 224, read: wide}}
	case skReuseport: // sk_reuseport_is_valid_access
		return []rule{{from: 0, to: 8, read: wide, kind: verifier.FieldPacket}, {from: 8, to: 16, read: wide, kind: verifier.FieldPacketEnd},
			{from: 16, to: 20, read: narrow}, {from: 20, to: 24, read: half | full}, {from: 24, to: 32, read: narrow}, {from: 32, to: 36, read: full},
			{from: 40, to: 48, read: wide, kind: verifier.FieldSocket}, {from: 48, to: 56, read: wide, kind: verifier.FieldSockCommon, nullable: true}}
	case skLookup: // sk_lookup_is_valid_access
		return []rule{{from: 0, to: 8, read: wide, kind: verifier.FieldSocket, nullable: true}, {from: 8, to: 20, read: narrow}, {from: 20, to: 36, read: narrow},
			{from: 36, to: 38, read: narrow}, {from: 38, to: 40, read: one | half}, {from: 40, to: 72, read: narrow}}
	case cgroupDevice: // cgroup_dev_is_valid_access
		return []rule{{from: 0, to: 4, read: narrow}, {from: 4, to: 12, read: full}}
	case cgroupSysctl: // sysctl_is_valid_access
		return []rule{{from: 0, to: 4, read: narrow}, {from: 4, to: 8, read: narrow, write: full}}
	case netfilter: // nf_is_valid_access
		return []rule{{from: 0, to: 8, read: wide, typ: "nf_hook_state"}, {from: 8, to: 16, read: wide, typ: "sk_buff"}}
	case cgroupSock:
		return sockRules(section)
	case sockAddr:
		return sockAddrRules(section)
	case sockOpt:
		return sockOptRules(section)
	}
	return nil
}

// sockOptRules follows cg_sockopt_is_valid_access.
func sockOptRules(section string) []rule {
	r := []rule{{from: 0, to: 8, read: wide, kind: verifier.FieldSocket}, {from: 8, to: 16, read: wide, kind: verifier.FieldPacket},
		{from: 16, to: 24, read: wide, kind: verifier.FieldPacketEnd}, {from: 32, to: 36, read: full, write: full}}
	if strings.HasSuffix(section, "setsockopt") {
		return append(r, rule{from: 24, to: 32, read: full, write: full})
	}
	return append(r, rule{from: 24, to: 32, read: full}, rule{from: 36, to: 40, read: full, write: full})
}

// sockRules follows sock_filter_is_valid_access.
func sockRules(section string) []rule {
	_, hook, _ := strings.Cut(section, "/")
	var out []rule
	for off := range 80 {
		r := rule{from: off, to: off + 1}
		for _, n := range []int{1, 2, 4} {
			if verifier.SocketField(off, n) {
				r.read |= 1 << n
			}
		}
		switch {
		case off < 4 || off >= 16 && off < 24: // bound_dev_if, mark, priority
			if hook != "sock_create" && hook != "sock" && hook != "sock_release" {
				r.read = no
			}
			if off%4 == 0 {
				r.write = r.read & full
			}
		case off >= 24 && off < 28 && hook != "post_bind4", off >= 28 && off < 44 && hook != "post_bind6",
			off >= 44 && off < 48 && hook != "post_bind4" && hook != "post_bind6":
			r.read = no
		}
		out = append(out, r)
	}
	return out
}

// sockAddrRules follows sock_addr_is_valid_access.
func sockAddrRules(section string) []rule {
	_, hook, _ := strings.Cut(section, "/")
	four, six, send := strings.HasSuffix(hook, "4"), strings.HasSuffix(hook, "6"), strings.HasPrefix(hook, "sendmsg")
	r := []rule{{from: 0, to: 4, read: full}, {from: 24, to: 28, read: narrow, write: full}, {from: 28, to: 40, read: full},
		{from: 64, to: 72, read: wide, kind: verifier.FieldSocket}}
	if four {
		r = append(r, rule{from: 4, to: 8, read: narrow, write: full})
	}
	if six {
		r = append(r, rule{from: 8, to: 24, read: any8, write: full | wide})
	}
	if four && send {
		r = append(r, rule{from: 40, to: 44, read: narrow, write: full})
	}
	if six && send {
		r = append(r, rule{from: 44, to: 60, read: any8, write: full | wide})
	}
	return r
}
