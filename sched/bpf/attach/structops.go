package attach

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/verifier"
)

// Members of the struct_ops outside of sched_ext that programs may implement: those with a stub in net/ipv4/bpf_tcp_ca.c and
// net/sched/bpf_qdisc.c, 7.2.
var implementable = map[string]string{
	"tcp_congestion_ops": `ssthresh cong_avoid set_state cwnd_event cwnd_event_tx_start in_ack_event pkts_acked min_tso_segs cong_control undo_cwnd
		sndbuf_expand init release`,
	"Qdisc_ops": "enqueue dequeue init reset destroy",
}

// writableField is a field that programs of a struct_ops may write: from its start on only, or any part of it.
type writableField struct {
	typ, path string
	anywhere  bool
}

// writableFields follow bpf_tcp_ca_btf_struct_access and bpf_qdisc_btf_struct_access.
var writableFields = map[string][]writableField{
	"tcp_congestion_ops": {
		{"tcp_sock", "inet_conn.icsk_inet.sk.sk_pacing_rate", false}, {"tcp_sock", "inet_conn.icsk_inet.sk.sk_pacing_status", false},
		{"tcp_sock", "inet_conn.icsk_ca_priv", true}, {"tcp_sock", "inet_conn.icsk_ack.pending", false}, {"tcp_sock", "snd_cwnd", false},
		{"tcp_sock", "snd_cwnd_cnt", false}, {"tcp_sock", "snd_cwnd_stamp", false}, {"tcp_sock", "snd_ssthresh", false},
		{"tcp_sock", "ecn_flags", false}, {"tcp_sock", "app_limited", false},
	},
	"Qdisc_ops": {
		{"sk_buff", "tstamp", false}, {"Qdisc", "limit", false}, {"Qdisc", "q.qlen", false}, {"Qdisc", "qstats", true},
	},
	"bpf_dummy_ops": {{"bpf_dummy_ops_state", "", true}},
}

// qdiscPrivate is the length of the private data of a queue in the control block of a packet (QDISC_CB_PRIV_LEN).
const qdiscPrivate = 20

// foreign completes the place of a member of a struct_ops that is not sched_ext's.
func (k *Kernel) foreign(at *verifier.Attachment, args *verifier.Args, typ, member string, sleepable bool) error {
	list, ok := implementable[typ]
	if ok && !listed(list, member) || typ == "bpf_dummy_ops" && sleepable && member != "test_sleepable" {
		return fmt.Errorf("attach to unsupported member %s of struct %s", member, typ)
	}
	at.Store = k.foreignStore(typ)
	switch {
	case typ == "Qdisc_ops" && member == "enqueue" && len(args.Params) > 2: // bpf_qdisc_is_valid_access
		k.retype(args, 2, "bpf_sk_buff_ptr")
	case typ == "tcp_congestion_ops": // bpf_tcp_ca_is_valid_access, bpf_tcp_ca_get_func_proto
		for i, p := range args.Params {
			if ptr, ok := p.Type.(*btf.Pointer); ok && ptr.Target.TypeName() == "sock" {
				k.retype(args, i, "tcp_sock")
			}
		}
		more := []string{"tcp_send_ack", "sk_storage_get", "sk_storage_delete", "ktime_get_coarse_ns"}
		if member != "release" {
			more = append(more, "setsockopt", "getsockopt")
		}
		at.Helper = helperSet(more)
	}
	return nil
}

// retype makes an argument a pointer to another struct.
func (k *Kernel) retype(args *verifier.Args, i int, name string) {
	var st *btf.Struct
	if k.types.TypeByName(name, &st) == nil {
		args.Params = slices.Clone(args.Params)
		args.Params[i].Type = &btf.Pointer{Target: st}
	}
}

// foreignStore is the Store of an Attachment for the fields of a struct_ops.
func (k *Kernel) foreignStore(ops string) func(typ string, off, size uint32) bool {
	type span struct {
		typ      string
		from, to uint32
		anywhere bool
	}
	var spans []span
	for _, f := range writableFields[ops] {
		if off, size, ok := k.field(f.typ, f.path); ok {
			spans = append(spans, span{f.typ, off, off + size, f.anywhere})
		}
	}
	if ops == "Qdisc_ops" {
		cb, _, ok := k.field("sk_buff", "cb")
		data, _, ok2 := k.field("qdisc_skb_cb", "data")
		if ok && ok2 {
			spans = append(spans, span{"sk_buff", cb + data, cb + data + qdiscPrivate, true})
		}
	}
	if spans == nil {
		return nil
	}
	return func(typ string, off, size uint32) bool {
		return slices.ContainsFunc(spans, func(s span) bool {
			return s.typ == typ && (off == s.from || s.anywhere && off > s.from) && off < s.to && off+size <= s.to
		})
	}
}

// field is the place of a field of a struct, whose path may lead through other structs; "" is the whole.
func (k *Kernel) field(typ, path string) (off, size uint32, ok bool) {
	var st *btf.Struct
	if k.types.TypeByName(typ, &st) != nil {
		return 0, 0, false
	}
	if path == "" {
		return 0, st.Size, true
	}
	var t btf.Type = st
	for name := range strings.SplitSeq(path, ".") {
		m, at, ok := member(t, name)
		if !ok {
			return 0, 0, false
		}
		off, t = off+at, m.Type
	}
	n, err := btf.Sizeof(t)
	return off, uint32(n), err == nil
}

// member finds a member of a struct or union, also within its members without a name.
func member(t btf.Type, name string) (btf.Member, uint32, bool) {
	var members []btf.Member
	switch x := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		members = x.Members
	case *btf.Union:
		members = x.Members
	}
	for _, m := range members {
		if m.Name == name {
			return m, m.Offset.Bytes(), true
		}
		if m.Name == "" {
			if in, off, ok := member(m.Type, name); ok {
				return in, m.Offset.Bytes() + off, true
			}
		}
	}
	return btf.Member{}, 0, false
}
