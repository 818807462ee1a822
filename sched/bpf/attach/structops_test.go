package attach_test

import (
	"bytes"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/sched/bpf/attach"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/link"
)

// netTypes are the structs of two struct_ops of the network, much reduced, and two functions.
func netTypes(t *testing.T) *btf.Spec {
	num := &btf.Int{Name: "unsigned int", Size: 4}
	sock := &btf.Struct{Name: "sock", Size: 8, Members: []btf.Member{{Name: "a", Type: num}, {Name: "sk_pacing_rate", Type: num, Offset: 32}}}
	tcp := &btf.Struct{Name: "tcp_sock", Size: 16, Members: []btf.Member{{Name: "inet_conn", Offset: 0, Type: &btf.Struct{Name: "inet_connection_sock", Size: 8,
		Members: []btf.Member{{Name: "icsk_inet", Type: &btf.Struct{Name: "inet_sock", Size: 8, Members: []btf.Member{{Name: "sk", Type: sock}}}}}}},
		{Name: "snd_cwnd", Type: num, Offset: 64}, {Name: "", Offset: 96, Type: &btf.Struct{Size: 4, Members: []btf.Member{{Name: "app_limited", Type: num}}}}}}
	skb := &btf.Struct{Name: "sk_buff", Size: 48, Members: []btf.Member{{Name: "cb", Type: &btf.Array{Index: num, Type: num, Nelems: 12}}}}
	cb := &btf.Struct{Name: "qdisc_skb_cb", Size: 28, Members: []btf.Member{{Name: "data", Type: &btf.Array{Index: num, Type: num, Nelems: 5}, Offset: 64}}}
	list := &btf.Struct{Name: "bpf_sk_buff_ptr", Size: 8, Members: []btf.Member{{Name: "skb", Type: &btf.Pointer{Target: skb}}}}
	fn := func(params ...btf.Type) btf.Type {
		p := &btf.FuncProto{Return: num}
		for _, t := range params {
			p.Params = append(p.Params, btf.FuncParam{Name: "x", Type: &btf.Pointer{Target: t}})
		}
		return &btf.Pointer{Target: p}
	}
	b, err := btf.NewBuilder([]btf.Type{tcp, cb, list,
		&btf.Struct{Name: "tcp_congestion_ops", Size: 24, Members: []btf.Member{{Name: "ssthresh", Type: fn(sock)}, {Name: "get_info", Type: fn(sock), Offset: 64},
			{Name: "release", Type: fn(sock), Offset: 128}}},
		&btf.Struct{Name: "Qdisc_ops", Size: 16, Members: []btf.Member{{Name: "enqueue", Type: fn(skb, num, &btf.Pointer{Target: skb})},
			{Name: "dump", Type: fn(skb), Offset: 64}}},
		&btf.Func{Name: "bpf_multi_func", Linkage: btf.GlobalFunc, Type: &btf.FuncProto{Return: num}},
		&btf.Func{Name: "bpf_sk_storage_get", Linkage: btf.GlobalFunc, Type: &btf.FuncProto{Return: num}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// The rules of struct_ops that are not sched_ext's: which members, whose arguments, what is written, which helpers.
func TestForeign(t *testing.T) {
	k := attach.WithTypes(kernel(t), netTypes(t))
	for _, tc := range []struct{ typ, member, err string }{
		{"tcp_congestion_ops", "ssthresh", ""},
		{"tcp_congestion_ops", "get_info", "attach to unsupported member get_info of struct tcp_congestion_ops"},
		{"Qdisc_ops", "enqueue", ""},
		{"Qdisc_ops", "dump", "attach to unsupported member dump of struct Qdisc_ops"},
	} {
		if _, err := k.Member(tc.typ, tc.member, false); err == nil && tc.err != "" || err != nil && err.Error() != tc.err {
			t.Errorf("%s.%s: %v, want %q", tc.typ, tc.member, err, tc.err)
		}
	}
	for _, tc := range []struct {
		typ, member string
		arg         int
		want        string
	}{{"tcp_congestion_ops", "ssthresh", 0, "tcp_sock"}, {"Qdisc_ops", "enqueue", 0, "sk_buff"}, {"Qdisc_ops", "enqueue", 2, "bpf_sk_buff_ptr"}} {
		at, err := k.Member(tc.typ, tc.member, false)
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := at.Context.Access(8*tc.arg, 8, false); !ok || f.Struct == nil || f.Struct.TypeName() != tc.want {
			t.Errorf("%s.%s, argument %d: %+v, %v", tc.typ, tc.member, tc.arg, f, ok)
		}
		if at.NeedsGPL == "" {
			t.Errorf("%s: programs of any license", tc.typ)
		}
	}
	for _, tc := range []struct {
		ops, typ  string
		off, size uint32
		ok        bool
	}{
		{"tcp_congestion_ops", "tcp_sock", 4, 4, true}, // sk_pacing_rate
		{"tcp_congestion_ops", "tcp_sock", 5, 1, false},
		{"tcp_congestion_ops", "tcp_sock", 0, 4, false},
		{"tcp_congestion_ops", "tcp_sock", 8, 4, true},  // snd_cwnd
		{"tcp_congestion_ops", "tcp_sock", 8, 8, false}, // and more
		{"tcp_congestion_ops", "tcp_sock", 12, 4, true}, // app_limited, in a struct without a name
		{"tcp_congestion_ops", "sock", 4, 4, false},
		{"Qdisc_ops", "sk_buff", 8, 20, true}, // data of cb
		{"Qdisc_ops", "sk_buff", 9, 1, true},
		{"Qdisc_ops", "sk_buff", 7, 1, false},
		{"Qdisc_ops", "sk_buff", 24, 8, false},
		{"Qdisc_ops", "tcp_sock", 8, 4, false},
	} {
		member := map[string]string{"tcp_congestion_ops": "ssthresh", "Qdisc_ops": "enqueue"}[tc.ops]
		at, err := k.Member(tc.ops, member, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := at.Store(tc.typ, tc.off, tc.size); got != tc.ok {
			t.Errorf("%s writes %d bytes at %d of %s: %v", tc.ops, tc.size, tc.off, tc.typ, got)
		}
	}
	for member, ok := range map[string]bool{"ssthresh": true, "release": false} {
		at, err := k.Member("tcp_congestion_ops", member, false)
		if err != nil {
			t.Fatal(err)
		}
		if at.Helper(int32(helpers.Number("bpf_setsockopt"))) != ok || !at.Helper(int32(helpers.Number("bpf_tcp_send_ack"))) {
			t.Errorf("helpers of %s", member)
		}
	}
}

// A program that attaches to many functions sees no arguments and no result, and may sleep; helpers are forbidden by place.
func TestMulti(t *testing.T) {
	k := attach.WithTypes(kernel(t), netTypes(t))
	storage := int32(helpers.Number("bpf_sk_storage_get"))
	for _, section := range []string{"fentry.multi", "fexit.multi", "fsession.multi", "fentry.multi.s"} {
		at, err := k.Other(&link.Program{Kind: elf.KindOther, Section: section + "/x*", Attach: "x*", Sleepable: section == "fentry.multi.s"})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := at.Context.Access(0, 8, false); ok {
			t.Errorf("%s: there is an argument", section)
		}
		if at.Sleepable != (section == "fentry.multi.s") || at.Tracing == at.Sleepable {
			t.Errorf("%s: sleepable %v, tracing %v", section, at.Sleepable, at.Tracing)
		}
		if !at.Helper(storage) || !at.Forbidden(storage) {
			t.Errorf("%s: bpf_sk_storage_get may be called", section)
		}
	}
	at, err := k.Other(&link.Program{Kind: elf.KindFentry, Section: "fentry/bpf_sk_storage_get", Attach: "bpf_sk_storage_get"})
	if err != nil || !at.Forbidden(storage) {
		t.Errorf("within bpf_sk_storage_get: %v", err)
	}
	for section, hi := range map[string]int32{"kprobe.session/x": 1, "uprobe.session.s//bin/x:y": 1, "kprobe/x": 0} {
		p := link.Program{Kind: elf.KindKprobe, Section: section}
		if section[0] == 'u' {
			p.Kind = elf.KindOther
		}
		at, err := k.Other(&p)
		if err != nil || at.Return.Hi != hi {
			t.Errorf("%s: %+v, %v", section, at.Return, err)
			continue
		}
		if _, err := at.Kfunc("bpf_session_cookie"); (err == nil) != (hi == 1) {
			t.Errorf("%s: %v", section, err)
		}
	}
}
