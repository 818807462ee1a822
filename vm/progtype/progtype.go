package progtype

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/verifier"
)

// kind is a type of program (enum bpf_prog_type).
type kind uint8

const (
	unknown kind = iota
	socketFilter
	schedCls
	schedAct
	xdp
	cgroupSkb
	cgroupSock
	sockAddr
	sockOps
	sockOpt
	cgroupSysctl
	cgroupDevice
	lwtIn
	lwtOut
	lwtXmit
	lwtSeg6
	skSkb
	skMsg
	flowDissector
	skReuseport
	skLookup
	netfilter
)

// kindOf follows section_defs of libbpf.
func kindOf(section string) kind {
	base, hook, _ := strings.Cut(section, "/")
	switch base {
	case "socket":
		return socketFilter
	case "tc", "tcx", "classifier", "netkit":
		return schedCls
	case "action":
		return schedAct
	case "xdp", "xdp.frags":
		return xdp
	case "cgroup_skb":
		return cgroupSkb
	case "lwt_in":
		return lwtIn
	case "lwt_out":
		return lwtOut
	case "lwt_xmit":
		return lwtXmit
	case "lwt_seg6local":
		return lwtSeg6
	case "sockops":
		return sockOps
	case "sk_skb":
		return skSkb
	case "sk_msg":
		return skMsg
	case "flow_dissector":
		return flowDissector
	case "sk_reuseport":
		return skReuseport
	case "sk_lookup":
		return skLookup
	case "netfilter":
		return netfilter
	case "cgroup":
		return cgroupKind(hook)
	}
	return unknown
}

func cgroupKind(hook string) kind {
	switch hook {
	case "skb":
		return cgroupSkb
	case "sysctl":
		return cgroupSysctl
	case "dev":
		return cgroupDevice
	case "getsockopt", "setsockopt":
		return sockOpt
	case "sock", "sock_create", "sock_release", "post_bind4", "post_bind6":
		return cgroupSock
	}
	for _, p := range []string{"bind", "connect", "sendmsg", "recvmsg", "getpeername", "getsockname"} {
		if rest, ok := strings.CutPrefix(hook, p); ok && (rest == "4" || rest == "6" || rest == "_unix" && p != "bind") {
			return sockAddr
		}
	}
	return unknown
}

// Hook is a set of places for kernel functions (enum btf_kfunc_hook).
type Hook uint32

// The hooks.
const (
	HookCommon Hook = 1 << iota
	HookXDP
	HookTC
	HookStructOps
	HookTracing
	HookSyscall
	HookCgroup
	HookAction
	HookSkSkb
	HookSocket
	HookLWT
	HookNetfilter
	HookKprobe
	// HookLSM, HookIter and HookSession are parts of HookTracing and HookKprobe where some functions may be called only.
	HookLSM
	HookIter
	HookSession
)

func (k kind) hook() Hook {
	switch k {
	case socketFilter:
		return HookSocket
	case schedCls:
		return HookTC
	case schedAct:
		return HookAction
	case xdp:
		return HookXDP
	case cgroupSkb, cgroupSock, sockAddr, sockOps, sockOpt, cgroupSysctl, cgroupDevice:
		return HookCgroup
	case lwtIn, lwtOut, lwtXmit, lwtSeg6:
		return HookLWT
	case skSkb:
		return HookSkSkb
	case netfilter:
		return HookNetfilter
	}
	return 0
}

// Kfunc finds a kernel function among those that programs of a hook may call, or among those of any hook if that is 0. It
// follows btf_kfunc_is_allowed.
func Kfunc(name string, h Hook) (abi.KfuncFlags, bool) {
	flags, found := abi.KfuncFlags(0), false
	for _, s := range kfuncSets() {
		i := slices.IndexFunc(s.funcs, func(k kfunc) bool { return k.name == name })
		if i < 0 || s.hooks&(h|HookCommon) == 0 && h != 0 {
			continue
		}
		flags, found = flags|s.funcs[i].flags, true
		if s.hooks&HookCommon != 0 {
			break
		}
	}
	if h == 0 {
		return flags, found
	}
	return flags, found && filter(name, h)
}

// filter follows the filters of sets: bpf_fs_kfuncs_filter, bpf_get_fsverity_digest_filter, tracing_iter_filter,
// bpf_session_filter.
func filter(name string, h Hook) bool {
	switch name {
	case "bpf_get_task_exe_file", "bpf_put_file", "bpf_path_d_path", "bpf_get_dentry_xattr", "bpf_get_file_xattr", "bpf_set_dentry_xattr",
		"bpf_remove_dentry_xattr", "bpf_real_data_inode", "bpf_get_fsverity_digest":
		return h&HookLSM != 0
	case "bpf_sock_destroy":
		return h&HookIter != 0
	case "bpf_session_is_return", "bpf_session_cookie":
		return h&HookSession != 0
	}
	return true
}

// KfuncFinder is the Kfunc of an Attachment, for a hook.
func KfuncFinder(types *btf.Spec, h Hook) func(name string) (verifier.Kfunc, error) {
	funcs := map[string]*btf.Func{}
	return func(name string) (verifier.Kfunc, error) {
		flags, ok := Kfunc(name, h)
		if !ok {
			return verifier.Kfunc{}, fmt.Errorf("calling kernel function %s is not allowed", name)
		}
		if strings.HasPrefix(name, "bpf_xdp_metadata_") {
			return verifier.Kfunc{}, errors.New("metadata kfuncs require device-bound program")
		}
		if _, ok := funcs[name]; !ok && types != nil {
			funcs[name] = nil
			all, _ := types.AnyTypesByName(name)
			for _, t := range all {
				if f, ok := t.(*btf.Func); ok && f.Name == name {
					funcs[name] = f
				}
			}
		}
		return verifier.Kfunc{Type: funcs[name], Flags: flags}, nil
	}
}

// Network says how a program of a section for packets, sockets or cgroups attaches; ok is false for other sections.
func Network(section string, types *btf.Spec) (at verifier.Attachment, ok bool) {
	section = strings.TrimPrefix(section, "?")
	k := kindOf(section)
	rules := contextOf(k, section)
	if rules == nil {
		return at, false
	}
	h := helpersOf(k, section)
	at = verifier.Attachment{Kernel: types, Context: &fields{rules, types}, CtxType: ctxTypes[k], Helper: h.has, Form: h.form,
		Kfunc: KfuncFinder(types, k.hook()), Return: returns(k, section)}
	switch k {
	case schedCls, schedAct, xdp, lwtXmit, skSkb, skMsg:
		at.Packet = verifier.PacketReadWrite
	case lwtIn, lwtOut, lwtSeg6, skReuseport, flowDissector, cgroupSkb:
		at.Packet = verifier.PacketRead
	case sockOpt:
		at.Packet = verifier.PacketOption
	}
	switch k {
	case socketFilter, schedCls, schedAct, xdp, skReuseport, flowDissector, skLookup:
		at.SockMapUpdate, at.SockMapDelete = true, true
	case sockOps:
		at.SockMapDelete = true
	}
	at.SocketFilter = k == socketFilter
	at.LegacyLoads = k == socketFilter || k == schedCls || k == schedAct
	switch k {
	case schedCls, schedAct, xdp, lwtIn, lwtOut, lwtXmit, lwtSeg6:
		at.InlineCPU = true
	}
	at.KernCtx = kernTypes[at.CtxType]
	at.Retval = verifier.Retval{Lo: -4095, Any: strings.HasSuffix(section, "/getsockopt")}
	return at, true
}

// ctxTypes are the structs of contexts.
var ctxTypes = map[kind]string{socketFilter: "__sk_buff", schedCls: "__sk_buff", schedAct: "__sk_buff", cgroupSkb: "__sk_buff", lwtIn: "__sk_buff",
	lwtOut: "__sk_buff", lwtXmit: "__sk_buff", lwtSeg6: "__sk_buff", skSkb: "__sk_buff", flowDissector: "__sk_buff", xdp: "xdp_md", cgroupSock: "bpf_sock",
	sockAddr: "bpf_sock_addr", sockOps: "bpf_sock_ops", sockOpt: "bpf_sockopt", cgroupSysctl: "bpf_sysctl", cgroupDevice: "bpf_cgroup_dev_ctx",
	skMsg: "sk_msg_md", skReuseport: "sk_reuseport_md", skLookup: "bpf_sk_lookup", netfilter: "bpf_nf_ctx"}

// kernTypes are the kernel's structs behind them (include/linux/bpf_types.h).
var kernTypes = map[string]string{"__sk_buff": "sk_buff", "xdp_md": "xdp_buff", "bpf_sock": "sock", "bpf_sock_addr": "bpf_sock_addr_kern",
	"bpf_sock_ops": "bpf_sock_ops_kern", "bpf_sockopt": "bpf_sockopt_kern", "bpf_sysctl": "bpf_sysctl_kern", "bpf_cgroup_dev_ctx": "bpf_cgroup_dev_ctx",
	"sk_msg_md": "sk_msg", "sk_reuseport_md": "sk_reuseport_kern", "bpf_sk_lookup": "bpf_sk_lookup_kern", "bpf_nf_ctx": "bpf_nf_ctx"}

// returns follows return_retval_range.
func returns(k kind, section string) verifier.Return {
	r := verifier.Return{Kind: verifier.ReturnRange, Hi: 1}
	switch k {
	case sockAddr:
		_, hook, _ := strings.Cut(section, "/")
		switch {
		case strings.HasPrefix(hook, "recvmsg"), strings.HasPrefix(hook, "getpeername"), strings.HasPrefix(hook, "getsockname"):
			r.Lo = 1
		case strings.HasPrefix(hook, "bind"):
			r.Hi = 3
		}
	case cgroupSkb:
		if strings.HasSuffix(section, "egress") {
			r.Hi = 3
		}
	case cgroupSock, sockOps, cgroupDevice, cgroupSysctl, sockOpt, skLookup, netfilter:
	default:
		return verifier.Return{}
	}
	return r
}
