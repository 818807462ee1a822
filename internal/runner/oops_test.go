package runner

import (
	"errors"
	"strings"
	"testing"
)

// A scheduler that writes over its tasks is refused. Unverified, it comes to an end at worst, as an oops would end a kernel.
func TestOops(t *testing.T) {
	o := Options{Workload: example(t, "hogs"), Topo: flat(t, 4), Scheduler: "../../sched/bpf/testdata/scribble.bpf.o"}
	var load *LoadError
	if _, err := Run(o); !errors.As(err, &load) || !strings.Contains(err.Error(), "cannot write into ptr_task_struct") {
		t.Fatalf("got %v, want a refusal", err)
	}
	o.NoVerify = true
	for _, engine := range []string{"interp", "auto"} {
		t.Run(engine, func(t *testing.T) {
			o.Engine = engine
			oopses := 0
			for seed := range 40 {
				o.Globals = map[string]any{"seed": seed + 1}
				if e := mustRun(t, o).Report.Exit; e != nil && e.Reason == "kernel oops" {
					oopses++
				}
			}
			if oopses == 0 {
				t.Error("no run ended with an oops")
			}
		})
	}
}
