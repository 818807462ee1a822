package ops

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops/kernels"
)

// TestRowsFollowBTF compares the rows with struct sched_ext_ops and struct sched_ext_ops_cid of the kernel: which members
// there are, in what order, with what arguments and results.
func TestRowsFollowBTF(t *testing.T) {
	k, err := kernels.Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		cid  bool
	}{{"sched_ext_ops", false}, {"sched_ext_ops_cid", true}} {
		t.Run(tc.name, func(t *testing.T) {
			var s *btf.Struct
			if err := k.BTF().TypeByName(tc.name, &s); err != nil {
				t.Fatal(err)
			}
			var want, got []string
			for _, m := range s.Members {
				p, ok := m.Type.(*btf.Pointer)
				if !ok {
					continue
				}
				if f, ok := p.Target.(*btf.FuncProto); ok {
					var args []string
					for _, a := range f.Params {
						args = append(args, kernels.TypeString(a.Type))
					}
					want = append(want, kernels.TypeString(f.Return)+" "+m.Name+"("+strings.Join(args, ", ")+")")
				}
			}
			for i, r := range Rows() {
				if r.ID != Callback(i+1) {
					t.Errorf("row %d has ID %d", i, r.ID)
				}
				r, ok := ByMember(r.Member(tc.cid), tc.cid)
				if !ok {
					continue
				}
				var args []string
				for _, a := range r.Args {
					args = append(args, a.Type)
					checkKind(t, r.Name, a)
				}
				got = append(got, r.Ret+" "+r.Member(tc.cid)+"("+strings.Join(args, ", ")+")")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func checkKind(t *testing.T, row string, a Arg) {
	want := ArgStruct
	switch {
	case !strings.Contains(a.Type, "*"):
		want = ArgScalar
	case strings.Contains(a.Type, "cmask"):
		want = ArgCMask
	case strings.Contains(a.Type, "cpumask"):
		want = ArgCPUMask
	case a.Type == "struct cgroup *":
		want = ArgCgroup
	case row+"."+a.Name == "dispatch.prev", row+"."+a.Name == "yield.to":
		want = ArgTaskNullable
	case a.Type == "struct task_struct *":
		want = ArgTask
	}
	if a.Kind != want {
		t.Errorf("%s: argument %s has kind %d, want %d", row, a.Name, a.Kind, want)
	}
}

func TestByMember(t *testing.T) {
	for _, tc := range []struct {
		name string
		cid  bool
		id   Callback
		ok   bool
	}{
		{"select_cpu", false, SelectCPU, true},
		{"select_cid", true, SelectCPU, true},
		{"select_cpu", true, None, false},
		{"cpu_release", false, CPURelease, true},
		{"cpu_release", true, None, false},
		{"", true, None, false},
		{"flags", false, None, false},
	} {
		if r, ok := ByMember(tc.name, tc.cid); r.ID != tc.id || ok != tc.ok {
			t.Errorf("%s, %v: %v, %v", tc.name, tc.cid, r.ID, ok)
		}
	}
	if s := Dispatch.String() + " " + None.String() + " " + CPURelease.String(); s != "dispatch none cpu_release" {
		t.Error(s)
	}
}

// TestConstants compares the constants of the package with the kernel's enums.
func TestConstants(t *testing.T) {
	k, err := kernels.Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]uint64{
		"SCX_EXIT_DONE": uint64(ExitDone), "SCX_EXIT_UNREG": uint64(ExitUnreg), "SCX_EXIT_UNREG_BPF": uint64(ExitUnregBPF),
		"SCX_EXIT_SYSRQ": uint64(ExitSysRq), "SCX_EXIT_PARENT": uint64(ExitParent), "SCX_EXIT_ERROR": uint64(ExitError),
		"SCX_EXIT_ERROR_BPF": uint64(ExitErrorBPF), "SCX_EXIT_ERROR_STALL": uint64(ExitErrorStall),
		"SCX_ECODE_RSN_HOTPLUG": uint64(ECodeRsnHotplug), "SCX_ECODE_ACT_RESTART": uint64(ECodeActRestart),
		"SCX_DSQ_INVALID": DSQInvalid, "SCX_DSQ_GLOBAL": DSQGlobal, "SCX_DSQ_LOCAL": DSQLocal, "SCX_DSQ_BYPASS": DSQBypass,
		"SCX_DSQ_LOCAL_ON": DSQLocalOn, "SCX_DSQ_LOCAL_CPU_MASK": DSQLocalCPUMask, "SCX_DSQ_ITER_REV": DSQIterRev,
		"SCX_SLICE_DFL": SliceDfl, "SCX_SLICE_BYPASS": SliceBypass, "SCX_SLICE_INF": SliceInf,
		"SCX_OPS_KEEP_BUILTIN_IDLE": FlagKeepBuiltinIdle, "SCX_OPS_ENQ_LAST": FlagEnqLast, "SCX_OPS_ENQ_EXITING": FlagEnqExiting,
		"SCX_OPS_SWITCH_PARTIAL": FlagSwitchPartial, "SCX_OPS_ENQ_MIGRATION_DISABLED": FlagEnqMigrationDisabled,
		"SCX_OPS_ALLOW_QUEUED_WAKEUP": FlagAllowQueuedWakeup, "SCX_OPS_BUILTIN_IDLE_PER_NODE": FlagBuiltinIdlePerNode,
		"SCX_OPS_ALWAYS_ENQ_IMMED": FlagAlwaysEnqImmed, "SCX_OPS_TID_TO_TASK": FlagTIDToTask, "SCX_OPS_ALL_FLAGS": FlagAll,
		"SCX_ENQ_WAKEUP": EnqWakeup, "SCX_ENQ_HEAD": EnqHead, "SCX_ENQ_CPU_SELECTED": EnqCPUSelected, "SCX_ENQ_PREEMPT": EnqPreempt,
		"SCX_ENQ_IMMED": EnqImmed, "SCX_ENQ_REENQ": EnqReenq, "SCX_ENQ_LAST": EnqLast, "SCX_ENQ_CLEAR_OPSS": EnqClearOpss,
		"SCX_ENQ_DSQ_PRIQ": EnqDSQPriq, "SCX_ENQ_NESTED": EnqNested, "SCX_ENQ_GDSQ_FALLBACK": EnqGDSQFallback,
		"SCX_DEQ_SLEEP": DeqSleep, "SCX_DEQ_CORE_SCHED_EXEC": DeqCoreSchedExec, "SCX_DEQ_SCHED_CHANGE": DeqSchedChange,
		"SCX_WAKE_FORK": WakeFork, "SCX_WAKE_TTWU": WakeTTWU, "SCX_WAKE_SYNC": WakeSync,
		"SCX_KICK_IDLE": KickIdle, "SCX_KICK_PREEMPT": KickPreempt, "SCX_KICK_WAIT": KickWait,
		"SCX_PICK_IDLE_CORE": PickIdleCore, "SCX_PICK_IDLE_IN_NODE": PickIdleInNode,
		"SCX_TASK_QUEUED": uint64(TaskQueued), "SCX_TASK_IN_CUSTODY": uint64(TaskInCustody),
		"SCX_TASK_RESET_RUNNABLE_AT": uint64(TaskResetRunnableAt), "SCX_TASK_DEQD_FOR_SLEEP": uint64(TaskDeqdForSleep),
		"SCX_TASK_STATE_SHIFT": TaskStateShift, "SCX_TASK_STATE_MASK": uint64(TaskStateMask), "SCX_TASK_INIT": uint64(TaskInit),
		"SCX_TASK_READY": uint64(TaskReady), "SCX_TASK_ENABLED": uint64(TaskEnabled), "SCX_TASK_DEAD": uint64(TaskDead),
		"SCX_DSP_DFL_MAX_BATCH": DspDflMaxBatch, "SCX_DSP_MAX_LOOPS": DspMaxLoops, "SCX_EXIT_MSG_LEN": ExitMsgLen,
		"SCX_EXIT_DUMP_DFL_LEN": ExitDumpDflLen, "SCX_SUB_MAX_DEPTH": SubMaxDepth, "SCX_CPUPERF_ONE": CPUPerfOne,
		"SCX_CPU_PREEMPT_RT": uint64(PreemptRT), "SCX_CPU_PREEMPT_DL": uint64(PreemptDL), "SCX_CPU_PREEMPT_STOP": uint64(PreemptStop),
		"SCX_CPU_PREEMPT_UNKNOWN": uint64(PreemptUnknown),
	} {
		if have, ok := k.EnumValue(name); !ok || have != v {
			t.Errorf("%s: the kernel says %#x (%v), the package %#x", name, have, ok, v)
		}
	}
}
