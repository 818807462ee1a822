package attach

import (
	"fmt"
	"slices"
	"strings"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/verifier"
)

// Functions with rules of their own, after the sets of kernel/bpf/verifier.c and kernel/trace/bpf_trace.c, 7.2, as Debian
// configures it: without CONFIG_FUNCTION_ERROR_INJECTION.
const (
	denied   = "___migrate_enable migrate_disable migrate_enable __rcu_read_lock __rcu_read_unlock"
	noReturn = `__ia32_sys_exit __ia32_sys_exit_group __module_put_and_kthread_exit __x64_sys_exit __x64_sys_exit_group do_exit do_group_exit
		kthread_complete_and_exit make_task_dead`
	modifiable = "bpf_modify_return_test bpf_modify_return_test2 bpf_modify_return_test_tp bpf_fentry_test1 update_socket_protocol"
	dPathFuncs = `security_file_permission security_inode_getattr security_file_open security_path_truncate vfs_truncate vfs_fallocate dentry_open
		vfs_getattr filp_close`
	trustedIters = "task cgroup kmem_cache bpf_map tcp udp"
)

func listed(list, name string) bool {
	for n := range strings.FieldsSeq(list) {
		if n == name {
			return true
		}
	}
	return false
}

// attachable tells why a program may not attach to a function. It follows bpf_check_attach_target and check_attach_btf_id.
func attachable(p *link.Program) error {
	syscall := strings.HasPrefix(p.Attach, "__x64_")
	switch {
	case p.Sleepable && !syscall && p.Attach != "bpf_fentry_test1":
		return fmt.Errorf("%s is not sleepable", p.Attach)
	case !p.Sleepable && p.Kind == elf.KindFmodRet && !syscall && !strings.HasPrefix(p.Attach, "security_") && !listed(modifiable, p.Attach):
		return fmt.Errorf("%s() is not modifiable", p.Attach)
	case listed(denied, p.Attach):
		return words("Attaching tracing programs to function '%s' is rejected.", p.Attach)
	case p.Kind != elf.KindFentry && listed(noReturn, p.Attach):
		return words("Attaching fexit/fsession/fmod_ret to __noreturn function '%s' is rejected.", p.Attach)
	}
	return nil
}

// words are the kernel's own, which begin and end as they like.
func words(format string, args ...any) error { return fmt.Errorf(format, args...) }

// dPathFunc follows bpf_d_path_allowed.
func dPathFunc(name string) bool { return listed(dPathFuncs, name) }

// set are the helpers of those names.
func set(names ...string) func(id int32) bool {
	return func(id int32) bool {
		return slices.ContainsFunc(names, func(n string) bool { return int32(helpers.Number("bpf_"+n)) == id })
	}
}

// trustedIter tells whether what the iterator hands out is valid for the whole call (ctx_arg_info of its bpf_iter_reg).
func trustedIter(name string) bool { return listed(trustedIters, name) }

// bufferArg says which arguments of iterators are buffers.
func bufferArg(iter, arg string) verifier.FieldKind {
	switch iter + "." + arg {
	case "bpf_map_elem.key", "sockmap.key":
		return verifier.FieldBufRead
	case "bpf_map_elem.value", "bpf_sk_storage_map.value":
		return verifier.FieldBuf
	}
	return verifier.FieldNumber
}
