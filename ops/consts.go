package ops

// ExitKind is enum scx_exit_kind.
type ExitKind int32

// Why a policy ended.
const (
	ExitNone       ExitKind = 0
	ExitDone       ExitKind = 1
	ExitUnreg      ExitKind = 64
	ExitUnregBPF   ExitKind = 65
	ExitUnregKern  ExitKind = 66
	ExitSysRq      ExitKind = 67
	ExitParent     ExitKind = 68
	ExitError      ExitKind = 1024
	ExitErrorBPF   ExitKind = 1025
	ExitErrorStall ExitKind = 1026
	ExitErrorReenq ExitKind = 1027 // 7.3
)

// Exit codes set by the kernel (enum scx_exit_code).
const (
	ECodeRsnHotplug       int64 = 1 << 32
	ECodeRsnCgroupOffline int64 = 2 << 32
	ECodeActRestart       int64 = 1 << 48
)

// EFlagInitialized in ExitInfo.Flags tells that ops.init succeeded (enum scx_exit_flags).
const EFlagInitialized uint64 = 1 << 0

// DSQ ids (enum scx_dsq_id_flags).
const (
	DSQFlagBuiltin  uint64 = 1 << 63
	DSQFlagLocalOn  uint64 = 1 << 62
	DSQInvalid      uint64 = DSQFlagBuiltin // | 0
	DSQGlobal       uint64 = DSQFlagBuiltin | 1
	DSQLocal        uint64 = DSQFlagBuiltin | 2
	DSQBypass       uint64 = DSQFlagBuiltin | 3
	DSQLocalOn      uint64 = DSQFlagBuiltin | DSQFlagLocalOn
	DSQLocalCPUMask uint64 = 0xffff_ffff
)

// DSQ iteration flags (enum scx_dsq_iter_flags).
const DSQIterRev uint64 = 1 << 16

// Slices in nanoseconds.
const (
	SliceDfl    uint64 = 20_000_000
	SliceBypass uint64 = 5_000_000
	SliceInf    uint64 = 1<<64 - 1
)

// Ops flags (enum scx_ops_flags).
const (
	FlagKeepBuiltinIdle      uint64 = 1 << 0
	FlagEnqLast              uint64 = 1 << 1
	FlagEnqExiting           uint64 = 1 << 2
	FlagSwitchPartial        uint64 = 1 << 3
	FlagEnqMigrationDisabled uint64 = 1 << 4
	FlagAllowQueuedWakeup    uint64 = 1 << 5
	FlagBuiltinIdlePerNode   uint64 = 1 << 6
	FlagAlwaysEnqImmed       uint64 = 1 << 7
	FlagTIDToTask            uint64 = 1 << 8
	FlagAll                  uint64 = 1<<9 - 1
)

// Enqueue flags (enum scx_enq_flags).
const (
	EnqWakeup       uint64 = 1 << 0
	EnqHead         uint64 = 1 << 16
	EnqCPUSelected  uint64 = 1 << 20
	EnqPreempt      uint64 = 1 << 32
	EnqImmed        uint64 = 1 << 33
	EnqReenq        uint64 = 1 << 40
	EnqLast         uint64 = 1 << 41
	EnqInternalMask uint64 = 0xff << 56
	EnqClearOpss    uint64 = 1 << 56
	EnqDSQPriq      uint64 = 1 << 57
	EnqNested       uint64 = 1 << 58
	EnqGDSQFallback uint64 = 1 << 59
)

// Dequeue flags (enum scx_deq_flags).
const (
	DeqSleep         uint64 = 1 << 0
	DeqCoreSchedExec uint64 = 1 << 32
	DeqSchedChange   uint64 = 1 << 33
)

// Wake flags (enum scx_wake_flags).
const (
	WakeFork uint64 = 0x04
	WakeTTWU uint64 = 0x08
	WakeSync uint64 = 0x10
)

// Kick flags (enum scx_kick_flags).
const (
	KickIdle    uint64 = 1 << 0
	KickPreempt uint64 = 1 << 1
	KickWait    uint64 = 1 << 2
)

// Idle pick flags (enum scx_pick_idle_cpu_flags).
const (
	PickIdleCore   uint64 = 1 << 0
	PickIdleInNode uint64 = 1 << 1
)

// Task flags in p->scx.flags (enum scx_ent_flags).
const (
	TaskQueued          uint32 = 1 << 0
	TaskInCustody       uint32 = 1 << 1
	TaskResetRunnableAt uint32 = 1 << 2
	TaskDeqdForSleep    uint32 = 1 << 3
	TaskSubInit         uint32 = 1 << 4
	TaskImmed           uint32 = 1 << 5
	TaskStateShift             = 8
	TaskStateMask       uint32 = 0x700
	TaskNone            uint32 = 0 << 8
	TaskInitBegin       uint32 = 1 << 8
	TaskInit            uint32 = 2 << 8
	TaskReady           uint32 = 3 << 8
	TaskEnabled         uint32 = 4 << 8
	TaskDead            uint32 = 5 << 8
	TaskReenqReasonMask uint32 = 0x3000
	TaskReenqKfunc      uint32 = 1 << 12
	TaskReenqImmed      uint32 = 2 << 12
	TaskReenqPreempted  uint32 = 3 << 12
)

// Limits of the core.
const (
	DspDflMaxBatch     = 32
	DspMaxLoops        = 32
	WatchdogMaxTimeout = 30_000 // ms
	ExitMsgLen         = 1024
	ExitDumpDflLen     = 32768
	NameLen            = 128
	SubMaxDepth        = 4
	CPUPerfOne         = 1024
)

// EnableState is enum scx_enable_state.
type EnableState int32

// The states of the core.
const (
	Enabling EnableState = iota
	Enabled
	Disabling
	Disabled
)
