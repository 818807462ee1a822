package ext

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops/kernels"
)

// enumerators has every enumerator of sched_ext: a test in which it has its effect, or words: why it has none here, or that
// it has no test of its own.
var enumerators = map[string]string{
	"SCX_ARENA_MIN_ORDER": "size of the kernel's own allocations from the arena: TestCIDObject runs a policy with one", "SCX_ARENA_GROW_PAGES": "likewise",

	"SCX_DSP_DFL_MAX_BATCH": "TestRules", "SCX_DSP_MAX_LOOPS": "ends the dispatch loop; no test of its own", "SCX_WATCHDOG_MAX_TIMEOUT": "TestEnable",
	"SCX_TID_CHUNK":   "numbers are given out in order, so that the size of a CPU's chunk does not matter",
	"SCX_EXIT_BT_LEN": "there is no kernel stack to print", "SCX_EXIT_MSG_LEN": "TestErrorTexts", "SCX_EXIT_DUMP_DFL_LEN": "TestDump",
	"SCX_CPUPERF_ONE": "TestRules", "SCX_TASK_ITER_BATCH": "tasks are walked without a lock to drop",
	"SCX_BYPASS_HOST_NTH": "how often a parent runs tasks of a bypassed child; no test of its own", "SCX_BYPASS_LB_DFL_INTV_US": "TestBypassBalance", "SCX_BYPASS_LB_DONOR_PCT": "TestBypassBalance",
	"SCX_BYPASS_LB_MIN_DELTA_DIV": "TestBypassBalance", "SCX_BYPASS_LB_BATCH": "TestBypassBalance",
	"SCX_REENQ_LOCAL_MAX_REPEAT": "TestRules", "SCX_SUB_MAX_DEPTH": "TestSubDepth",

	"SCX_CPU_PREEMPT_RT": "TestCPURelease", "SCX_CPU_PREEMPT_DL": "TestCPURelease", "SCX_CPU_PREEMPT_STOP": "TestCPURelease",
	"SCX_CPU_PREEMPT_UNKNOWN": "TestCPURelease",

	"SCX_DEQ_SLEEP": "TestLife", "SCX_DEQ_SCHED_CHANGE": "TestCustody",
	"SCX_DEQ_CORE_SCHED_EXEC": "core scheduling is off: nothing picks a task that was not dispatched",

	"SCX_DSP_NONE": "TestEnqLast", "SCX_DSP_LOCAL": "TestOrder", "SCX_DSP_PREV": "TestEnqLast", "SCX_DSP_RETRY": "for a runqueue whose lock was dropped meanwhile, which has no counterpart",

	"SCX_DSQ_FLAG_BUILTIN": "TestRules", "SCX_DSQ_FLAG_LOCAL_ON": "TestRemoteMove", "SCX_DSQ_INVALID": "TestErrorTexts",
	"SCX_DSQ_GLOBAL": "TestNoCallbacks", "SCX_DSQ_LOCAL": "TestEnqPreempt", "SCX_DSQ_BYPASS": "TestBypassBalance",
	"SCX_DSQ_LOCAL_ON": "TestRemoteMove", "SCX_DSQ_LOCAL_CPU_MASK": "TestRules",
	"SCX_DSQ_ITER_REV": "TestOrder", "__SCX_DSQ_ITER_HAS_SLICE": "TestIter", "__SCX_DSQ_ITER_HAS_VTIME": "TestRandom",
	"__SCX_DSQ_ITER_USER_FLAGS": "TestIter", "__SCX_DSQ_ITER_ALL_FLAGS": "TestIter",
	"SCX_DSQ_LNODE_ITER_CURSOR": "TestIter", "__SCX_DSQ_LNODE_PRIV_SHIFT": "where the iterator keeps its flags: a field of its own here",

	"SCX_ENABLING": "TestEnable", "SCX_ENABLED": "TestEnable", "SCX_DISABLING": "TestDeath", "SCX_DISABLED": "TestEnable",

	"SCX_ENQ_WAKEUP": "TestWakeFlags", "SCX_ENQ_HEAD": "TestOrder", "SCX_ENQ_CPU_SELECTED": "TestWakeFlags", "SCX_ENQ_PREEMPT": "TestEnqPreempt",
	"SCX_ENQ_IMMED": "TestEnqImmed", "SCX_ENQ_REENQ": "TestEnqImmed", "SCX_ENQ_LAST": "TestEnqLast", "__SCX_ENQ_INTERNAL_MASK": "TestErrorTexts",
	"SCX_ENQ_CLEAR_OPSS": "TestStaleDispatch", "SCX_ENQ_DSQ_PRIQ": "TestOrder",
	"SCX_ENQ_NESTED": "locks of two queues are not nested", "SCX_ENQ_GDSQ_FALLBACK": "TestRules",
	"SCX_TASK_DSQ_ON_PRIQ": "TestOrder",

	"SCX_TASK_QUEUED": "TestGolden", "SCX_TASK_IN_CUSTODY": "TestCustody", "SCX_TASK_RESET_RUNNABLE_AT": "TestGolden",
	"SCX_TASK_DEQD_FOR_SLEEP": "kept as the kernel keeps it; no test of its own", "SCX_TASK_SUB_INIT": "TestSubEnable", "SCX_TASK_IMMED": "TestEnqImmed",
	"SCX_TASK_STATE_SHIFT": "TestLife", "SCX_TASK_STATE_BITS": "TestLife", "SCX_TASK_STATE_MASK": "TestLife", "SCX_TASK_NONE": "TestLife",
	"SCX_TASK_INIT_BEGIN": "TestLife", "SCX_TASK_INIT": "TestLife", "SCX_TASK_READY": "TestSwitchPartial", "SCX_TASK_ENABLED": "TestGolden",
	"SCX_TASK_DEAD": "TestDeath", "SCX_TASK_REENQ_REASON_SHIFT": "TestEnqImmed", "SCX_TASK_REENQ_REASON_BITS": "TestEnqImmed",
	"SCX_TASK_REENQ_REASON_MASK": "TestEnqImmed", "SCX_TASK_REENQ_NONE": "TestEnqImmed", "SCX_TASK_REENQ_KFUNC": "TestEnqImmed",
	"SCX_TASK_REENQ_IMMED": "TestEnqImmed", "SCX_TASK_REENQ_PREEMPTED": "TestEnqImmed",
	"SCX_TASK_CURSOR": "marks the kernel's iterator in the list of tasks, which is not walked by one here",

	"SCX_ECODE_RSN_HOTPLUG": "TestHandleHotplug", "SCX_ECODE_RSN_CGROUP_OFFLINE": "TestSubCgroupOffline", "SCX_ECODE_ACT_RESTART": "TestHandleHotplug",
	"SCX_EFLAG_INITIALIZED": "TestExitFlags",

	"SCX_EXIT_NONE": "TestEnable", "SCX_EXIT_DONE": "the state after ops.exit, which nobody is told", "SCX_EXIT_UNREG": "TestErrorTexts", "SCX_EXIT_UNREG_BPF": "TestErrorTexts",
	"SCX_EXIT_UNREG_KERN": "TestHandleHotplug", "SCX_EXIT_SYSRQ": "TestErrorTexts", "SCX_EXIT_PARENT": "TestSubParentDisabled",
	"SCX_EXIT_ERROR": "TestErrorTexts", "SCX_EXIT_ERROR_BPF": "TestErrorTexts", "SCX_EXIT_ERROR_STALL": "TestErrorTexts",

	"SCX_KF_ALLOW_UNLOCKED": "TestMatrix", "SCX_KF_ALLOW_INIT": "TestMatrix", "SCX_KF_ALLOW_CPU_RELEASE": "TestMatrix",
	"SCX_KF_ALLOW_DISPATCH": "TestMatrix", "SCX_KF_ALLOW_ENQUEUE": "TestMatrix", "SCX_KF_ALLOW_SELECT_CPU": "TestMatrix",

	"SCX_KICK_IDLE": "TestKick", "SCX_KICK_PREEMPT": "TestKick", "SCX_KICK_WAIT": "TestKick",

	"SCX_OPI_BEGIN": "parts the callbacks into those that exist during boot and those that do not: TestRowsFollowBTF has all of them", "SCX_OPI_NORMAL_BEGIN": "likewise",
	"SCX_OPI_NORMAL_END": "likewise", "SCX_OPI_CPU_HOTPLUG_BEGIN": "TestHandleHotplug", "SCX_OPI_CPU_HOTPLUG_END": "TestHandleHotplug", "SCX_OPI_END": "likewise",

	"SCX_OPS_KEEP_BUILTIN_IDLE": "TestRules", "SCX_OPS_ENQ_LAST": "TestEnqLast", "SCX_OPS_ENQ_EXITING": "TestEnqExiting",
	"SCX_OPS_SWITCH_PARTIAL": "TestSwitchPartial", "SCX_OPS_ENQ_MIGRATION_DISABLED": "TestRules",
	"SCX_OPS_ALLOW_QUEUED_WAKEUP":   "TestQueuedWakeup",
	"SCX_OPS_BUILTIN_IDLE_PER_NODE": "TestSelectCPUDfl", "SCX_OPS_ALWAYS_ENQ_IMMED": "TestEnqImmed", "SCX_OPS_TID_TO_TASK": "TestErrorTexts",
	"SCX_OPS_ALL_FLAGS": "TestEnable", "__SCX_OPS_INTERNAL_MASK": "TestEnable", "SCX_OPS_HAS_CPU_PREEMPT": "TestCPURelease",

	"SCX_OPSS_NONE": "TestStaleDispatch", "SCX_OPSS_QUEUEING": "TestStaleDispatch", "SCX_OPSS_QUEUED": "TestStaleDispatch",
	"SCX_OPSS_DISPATCHING": "TestStaleDispatch", "SCX_OPSS_QSEQ_SHIFT": "TestStaleDispatch",

	"SCX_PICK_IDLE_CORE": "TestSelectCPUDfl", "SCX_PICK_IDLE_IN_NODE": "TestSelectCPUDfl",
	"SCX_OPS_NAME_LEN": "TestEnable", "SCX_SLICE_DFL": "TestNoCallbacks", "SCX_SLICE_BYPASS": "TestLife", "SCX_SLICE_INF": "TestSelftestNohzTick",

	"SCX_REENQ_ANY": "TestEnqImmed", "__SCX_REENQ_FILTER_MASK": "TestRules", "__SCX_REENQ_USER_MASK": "TestRules",
	"SCX_REENQ_TSR_RQ_OPEN": "TestEnqImmed", "SCX_REENQ_TSR_NOT_FIRST": "TestEnqImmed", "__SCX_REENQ_TSR_MASK": "TestEnqImmed",

	"SCX_RQ_ONLINE": "TestRQOffline", "SCX_RQ_CAN_STOP_TICK": "TestSelftestNohzTick", "SCX_RQ_CLK_VALID": "the clock of a runqueue needs no cache here",
	"SCX_RQ_BAL_CB_PENDING": "TestRemoteMove", "SCX_RQ_IN_WAKEUP": "TestRandom", "SCX_RQ_IN_BALANCE": "TestEnqImmed",
	"SCX_SCHED_PCPU_BYPASSING": "TestBypassBalance", "SCX_TG_ONLINE": "TestTgOnline", "SCX_TG_INITED": "TestCgroupInit",
	"SCX_WAKE_FORK": "TestWakeFlags", "SCX_WAKE_TTWU": "TestWakeFlags", "SCX_WAKE_SYNC": "TestWakeFlags",
}

// TestEnumerators: none of the kernel's enumerators is without a row, no row without an enumerator, and the tests that rows
// name exist.
func TestEnumerators(t *testing.T) {
	k, err := kernels.Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for typ, err := range k.BTF().All() {
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := typ.(*btf.Enum); ok && strings.HasPrefix(e.Name, "scx_") {
			for _, v := range e.Values {
				have[v.Name] = true
				if enumerators[v.Name] == "" {
					t.Errorf("enum %s: %s has no row", e.Name, v.Name)
				}
			}
		}
	}
	tests := map[string]bool{}
	for _, dir := range []string{".", "..", "../../bpf", "../../../kfuncs", "../../../ops"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					tests[fn.Name.Name] = true
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(enumerators)) {
		why := enumerators[name]
		if !have[name] {
			t.Errorf("%s: the kernel has no such enumerator", name)
		}
		if !strings.Contains(why, " ") && why != "likewise" && !tests[why] {
			t.Errorf("%s: there is no test %s", name, why)
		}
	}
}
