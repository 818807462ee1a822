package progtype_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/progtype"
	"github.com/schedsim/schedsim/vm/verifier"
)

func helper(name string) int32 { return int32(helpers.Number("bpf_" + name)) }

// What a context holds, by type of program.
func TestContexts(t *testing.T) {
	const packet, end, none = verifier.FieldPacket, verifier.FieldPacketEnd, verifier.FieldNumber
	for _, tc := range []struct {
		section   string
		off, size int
		write, ok bool
		kind      verifier.FieldKind
	}{
		{"tc", 0, 4, false, true, none},                        // len
		{"tc", 0, 4, true, false, none},                        // which nobody may write
		{"tc", 0, 1, false, true, none},                        // a part of it
		{"tc", 1, 4, false, false, none},                       // across two fields
		{"tc", 8, 4, true, true, none},                         // mark
		{"socket", 8, 4, true, false, none},                    //
		{"tc", 48, 8, true, true, none},                        // cb
		{"tc", 64, 8, true, false, none},                       // beyond cb
		{"tc", 76, 4, false, true, packet},                     // data
		{"tc", 80, 4, false, true, end},                        // data_end
		{"tc", 76, 2, false, false, none},                      // a part of a pointer
		{"socket", 76, 4, false, false, none},                  // no packets there
		{"tc", 168, 8, false, true, verifier.FieldSockCommon},  // sk
		{"tc", 192, 4, false, false, none},                     // past the end
		{"xdp", 0, 4, false, true, packet},                     //
		{"xdp", 4, 4, false, true, end},                        //
		{"xdp", 0, 8, false, false, none},                      //
		{"xdp", 12, 4, true, false, none},                      //
		{"cgroup/sysctl", 0, 4, false, true, none},             // write
		{"cgroup/sysctl", 4, 4, true, true, none},              // file_pos
		{"cgroup/dev", 8, 4, false, true, none},                //
		{"cgroup/dev", 12, 4, false, false, none},              //
		{"cgroup/connect4", 4, 4, true, true, none},            // user_ip4
		{"cgroup/connect6", 4, 4, true, false, none},           //
		{"cgroup/setsockopt", 8, 8, false, true, packet},       // optval
		{"sk_lookup", 0, 8, false, true, verifier.FieldSocket}, // sk
		{"netfilter", 0, 4, false, false, none},                //
		{"cgroup/sock_create", 0, 4, true, true, none},         // bound_dev_if
		{"cgroup/post_bind4", 0, 4, true, false, none},         //
		{"flow_dissector", 76, 4, false, true, packet},         //
		{"sockops", 184, 8, false, true, verifier.FieldSocket}, // sk
	} {
		at, ok := progtype.Network(tc.section, nil)
		if !ok {
			t.Errorf("%s: unknown", tc.section)
			continue
		}
		f, ok := at.Context.Access(tc.off, tc.size, tc.write)
		if ok != tc.ok || ok && f.Kind != tc.kind {
			t.Errorf("%s: %d bytes at %d, written: %v: %v, kind %v; want %v, kind %v", tc.section, tc.size, tc.off, tc.write, ok, f.Kind, tc.ok, tc.kind)
		}
	}
	for _, s := range []string{"kprobe/x", "struct_ops", "cgroup/nothing", "bind4", ""} {
		if _, ok := progtype.Network(s, nil); ok {
			t.Errorf("section %q has packets", s)
		}
	}
}

// What programs may call, by type.
func TestCalls(t *testing.T) {
	for _, tc := range []struct {
		section, helper string
		ok              bool
	}{
		{"tc", "skb_store_bytes", true},
		{"socket", "skb_store_bytes", false},
		{"socket", "skb_load_bytes", true},
		{"xdp", "xdp_adjust_head", true},
		{"tc", "xdp_adjust_head", false},
		{"cgroup/connect4", "bind", true},
		{"cgroup/sendmsg4", "bind", false},
		{"cgroup/sysctl", "sysctl_set_new_value", true},
		{"cgroup/dev", "sysctl_set_new_value", false},
		{"cgroup/setsockopt", "setsockopt", true},
		{"lwt_in", "lwt_push_encap", true},
		{"lwt_out", "lwt_push_encap", false},
		{"lwt_seg6local", "skb_pull_data", false},
		{"sk_lookup", "sk_assign", true},
		{"xdp", "sys_bpf", false},
		{"tc", "map_lookup_elem", true},
	} {
		at, _ := progtype.Network(tc.section, nil)
		if got := at.Helper(helper(tc.helper)); got != tc.ok {
			t.Errorf("%s may call bpf_%s: %v", tc.section, tc.helper, got)
		}
	}
	for _, tc := range []struct {
		section, kfunc string
		ok             bool
	}{
		{"xdp", "bpf_dynptr_from_xdp", true},
		{"tc", "bpf_dynptr_from_xdp", false},
		{"tc", "bpf_dynptr_from_skb", true},
		{"tc", "bpf_obj_new", true},
		{"socket", "bpf_obj_new", false},
		{"cgroup/connect_unix", "bpf_sock_addr_set_sun_path", true},
		{"xdp", "bpf_crypto_encrypt", true},
		{"socket", "bpf_rcu_read_lock", true}, // common to all
		{"xdp", "bpf_no_such_function", false},
		{"xdp", "bpf_xdp_metadata_rx_hash", false}, // of devices
	} {
		at, _ := progtype.Network(tc.section, nil)
		if _, err := at.Kfunc(tc.kfunc); (err == nil) != tc.ok {
			t.Errorf("%s, %s: %v", tc.section, tc.kfunc, err)
		}
	}
}

// Some functions of a set are for a part of its programs only.
func TestKfunc(t *testing.T) {
	for _, tc := range []struct {
		name  string
		hook  progtype.Hook
		ok    bool
		flags abi.KfuncFlags
	}{
		{"bpf_put_file", progtype.HookTracing, false, abi.Release},
		{"bpf_put_file", progtype.HookTracing | progtype.HookLSM, true, abi.Release},
		{"bpf_sock_destroy", progtype.HookTracing, false, 0},
		{"bpf_sock_destroy", progtype.HookTracing | progtype.HookIter, true, 0},
		{"bpf_session_cookie", progtype.HookKprobe, false, 0},
		{"bpf_session_cookie", progtype.HookKprobe | progtype.HookSession, true, 0},
		{"bpf_task_acquire", progtype.HookStructOps, true, abi.Acquire | abi.RCU | abi.RetNull},
		{"bpf_task_acquire", progtype.HookNetfilter, false, 0},
		{"bpf_iter_num_new", progtype.HookLWT, true, abi.IterNew},
		{"bpf_put_file", 0, true, abi.Release},
	} {
		flags, ok := progtype.Kfunc(tc.name, tc.hook)
		if ok != tc.ok || flags != tc.flags {
			t.Errorf("%s at %#x: %v, %v; want %v, %v", tc.name, tc.hook, flags, ok, tc.flags, tc.ok)
		}
	}
}

// What programs may return, by type.
func TestReturns(t *testing.T) {
	for _, tc := range []struct {
		section string
		lo, hi  int32
		any     bool
	}{
		{"tc", 0, 0, true}, {"xdp", 0, 0, true}, {"cgroup/sock", 0, 1, false}, {"cgroup_skb/egress", 0, 3, false}, {"cgroup_skb/ingress", 0, 1, false},
		{"cgroup/bind4", 0, 3, false}, {"cgroup/recvmsg4", 1, 1, false}, {"cgroup/connect4", 0, 1, false}, {"sk_lookup", 0, 1, false}, {"netfilter", 0, 1, false},
	} {
		at, _ := progtype.Network(tc.section, nil)
		want := verifier.Return{Kind: verifier.ReturnRange, Lo: tc.lo, Hi: tc.hi}
		if tc.any {
			want = verifier.Return{}
		}
		if at.Return != want {
			t.Errorf("%s: %+v, want %+v", tc.section, at.Return, want)
		}
	}
}

// types are hooks of the security framework.
func types(t *testing.T) *btf.Spec {
	num := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	file := &btf.Struct{Name: "file", Size: 4, Members: []btf.Member{{Name: "f_mode", Type: num}}}
	hook := func(name string, ret btf.Type) btf.Type {
		return &btf.Func{Name: "bpf_lsm_" + name, Linkage: btf.GlobalFunc,
			Type: &btf.FuncProto{Return: ret, Params: []btf.FuncParam{{Name: "file", Type: &btf.Pointer{Target: file}}}}}
	}
	b, err := btf.NewBuilder([]btf.Type{hook("file_open", num), hook("file_alloc_security", num), hook("sk_alloc_security", num),
		hook("file_free_security", &btf.Void{}), hook("audit_rule_known", num)}, nil)
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

// Programs of the security framework: where they may attach, what they return, what they may call.
func TestLSM(t *testing.T) {
	spec := types(t)
	for _, tc := range []struct {
		hook              string
		sleepable, cgroup bool
		err               string
		returns           verifier.Return
	}{
		{"file_open", false, false, "", verifier.Return{Kind: verifier.ReturnRange, Lo: -4095, Narrow: true}},
		{"file_open", true, false, "", verifier.Return{Kind: verifier.ReturnRange, Lo: -4095, Narrow: true}},
		{"file_open", false, true, "", verifier.Return{Kind: verifier.ReturnRange, Hi: 1}},
		{"file_open", true, true, "cannot be sleepable", verifier.Return{}},
		{"audit_rule_known", false, false, "", verifier.Return{Kind: verifier.ReturnRange, Hi: 1, Narrow: true}},
		{"audit_rule_known", true, false, "bpf_lsm_audit_rule_known is not sleepable", verifier.Return{}},
		{"file_free_security", false, false, "", verifier.Return{Kind: verifier.ReturnVoid}},
		{"file_free_security", false, true, "", verifier.Return{Kind: verifier.ReturnRange, Lo: 1, Hi: 1}},
		{"file_alloc_security", false, false, "points to disabled hook bpf_lsm_file_alloc_security", verifier.Return{}},
		{"nothing", false, false, "no such hook", verifier.Return{}},
	} {
		at, err := progtype.LSM(tc.hook, spec, tc.sleepable, tc.cgroup)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: %v, want %q", tc.hook, err, tc.err)
			}
			continue
		}
		if err != nil || at.Return != tc.returns {
			t.Errorf("%s, sleepable %v, cgroup %v: %+v, %v; want %+v", tc.hook, tc.sleepable, tc.cgroup, at.Return, err, tc.returns)
		}
		if at.NeedsGPL == "" {
			t.Errorf("%s: programs of any license", tc.hook)
		}
		if forbidden := at.Forbidden != nil && at.Forbidden(helper("d_path")); forbidden != (tc.hook != "file_open") {
			t.Errorf("%s: bpf_d_path is forbidden: %v", tc.hook, forbidden)
		}
	}
	if _, err := progtype.LSM("nothing", spec, false, false); !errors.Is(err, progtype.ErrNoHook) {
		t.Errorf("got %v", err)
	}
	for hook, trusted := range map[string]bool{"file_open": true, "sk_alloc_security": false} {
		at, err := progtype.LSM(hook, spec, false, false)
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := at.Context.Access(0, 8, false); !ok || f.Struct == nil || f.Trusted != trusted {
			t.Errorf("%s: argument %+v, %v", hook, f, ok)
		}
	}
}
