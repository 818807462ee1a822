package progtype

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/verifier"
)

// Hooks of the security framework with rules of their own, after the sets of kernel/bpf/bpf_lsm.c, 7.2, without bpf_lsm_.
const (
	disabledHooks = `vm_enough_memory inode_need_killpriv inode_getsecurity inode_listsecurity inode_copy_up_xattr getselfattr getprocattr setprocattr
		key_getsecurity audit_rule_match xfrm_decode_session ismaclabel file_alloc_security`
	untrustedHooks = `bpf_map_free bpf_prog_free file_alloc_security file_free_security sk_alloc_security sk_free_security task_free bdev_alloc_security
		bdev_free_security`
	boolHooks      = "xfrm_state_pol_flow_match audit_rule_known inode_xattr_skipcap"
	sleepableHooks = `bpf bpf_map bpf_map_create bpf_map_free bpf_prog bpf_prog_load bpf_token_create bpf_token_free bpf_token_cmd bpf_token_capable
		bprm_check_security bprm_committed_creds bprm_committing_creds bprm_creds_for_exec bprm_creds_from_file capget capset cred_prepare file_ioctl
		file_lock file_open file_post_open file_receive inode_create inode_free_security inode_getattr inode_getxattr inode_mknod inode_need_killpriv
		inode_post_setxattr inode_post_removexattr inode_readlink inode_removexattr inode_rename inode_rmdir inode_setattr inode_setxattr inode_symlink
		inode_unlink kernel_module_request kernel_read_file kernfs_init_security path_unlink path_mkdir path_rmdir path_truncate path_symlink path_link
		path_rename path_chmod path_chown mmap_file netlink_send path_notify release_secctx sb_alloc_security sb_eat_lsm_opts sb_kern_mount sb_mount
		sb_remount sb_set_mnt_opts sb_show_options sb_statfs sb_umount settime socket_accept socket_bind socket_connect socket_create socket_getpeername
		socket_getpeersec_dgram socket_getsockname socket_getsockopt socket_listen socket_post_create socket_recvmsg socket_sendmsg socket_shutdown
		socket_socketpair syslog task_alloc task_prctl task_setscheduler userns_create bdev_alloc_security bdev_setintegrity`
	lsmHelpers = ` inode_storage_get inode_storage_delete sk_storage_get sk_storage_delete spin_lock spin_unlock bprm_opts_set get_attach_cookie
		skb_output xdp_output sock_from_file get_socket_cookie=get_socket_ptr_cookie xdp_get_buff_len=xdp_get_buff_len_trace get_func_arg get_func_ret
		get_func_arg_cnt perf_event_output get_stackid get_stack probe_read probe_read_str probe_write_user get_func_ip d_path ima_inode_hash ima_file_hash`
)

// maxErrno is the largest error number.
const maxErrno = 4095

// words are the kernel's own, which begin and end as they like.
func words(s string) error { return errors.New(s) }

// ErrNoHook: the kernel has no hook of that name, or programs may not attach to it.
var ErrNoHook = errors.New("no such hook")

func in(list, name string) bool {
	for n := range strings.FieldsSeq(list) {
		if n == name {
			return true
		}
	}
	return false
}

// LSM says how a program attaches to a hook of the security framework; cgroup: for the tasks and sockets of a cgroup only. It
// follows bpf_lsm_verify_prog, bpf_lsm_func_proto and bpf_lsm_get_retval_range.
func LSM(hook string, types *btf.Spec, sleepable, cgroup bool) (verifier.Attachment, error) {
	var f *btf.Func
	if err := types.TypeByName("bpf_lsm_"+hook, &f); err != nil {
		return verifier.Attachment{}, fmt.Errorf("lsm/%s: %w", hook, ErrNoHook)
	}
	proto, ok := f.Type.(*btf.FuncProto)
	switch {
	case !ok:
		return verifier.Attachment{}, fmt.Errorf("lsm/%s: %w", hook, ErrNoHook)
	case in(disabledHooks, hook):
		id, _ := types.TypeID(f)
		return verifier.Attachment{}, fmt.Errorf("attach_btf_id %d points to disabled hook bpf_lsm_%s", id, hook)
	case sleepable && cgroup:
		return verifier.Attachment{}, words("Program of this type cannot be sleepable")
	case sleepable && !in(sleepableHooks, hook):
		return verifier.Attachment{}, fmt.Errorf("bpf_lsm_%s is not sleepable", hook)
	}
	list := base + socketCasts + lsmHelpers
	if cgroup {
		list += " get_local_storage get_retval set_retval setsockopt getsockopt"
	}
	has, form := Helpers(list)
	args := verifier.NewArgs(proto, !in(untrustedHooks, hook))
	at := verifier.Attachment{Kernel: types, Context: args, Sleepable: sleepable, Helper: has, Form: form, CssTaskIter: true, InlineCPU: true,
		Kfunc: KfuncFinder(types, HookTracing|HookLSM), NeedsGPL: "LSM programs"}
	if !in(sleepableHooks, hook) {
		at.Forbidden = func(id int32) bool {
			return id == int32(helpers.Number("bpf_d_path")) || id == int32(helpers.Number("bpf_ima_inode_hash")) || id == int32(helpers.Number("bpf_ima_file_hash"))
		}
	}
	_, void := proto.Return.(*btf.Void)
	r := verifier.Return{Kind: verifier.ReturnRange, Lo: -maxErrno, Narrow: true}
	if in(boolHooks, hook) {
		r.Lo, r.Hi = 0, 1
	}
	at.Retval = verifier.Retval{Lo: r.Lo, Hi: r.Hi, Void: void}
	if !void {
		args.Result, at.HookReturn = proto.Return, &r
	}
	switch {
	case cgroup && void:
		at.Return = verifier.Return{Kind: verifier.ReturnRange, Lo: 1, Hi: 1}
	case cgroup:
		at.Return, at.HookReturn = verifier.Return{Kind: verifier.ReturnRange, Hi: 1}, nil
	case void:
		at.Return.Kind = verifier.ReturnVoid
	default:
		at.Return = r
	}
	return at, nil
}
