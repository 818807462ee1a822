//go:build !unix

package ladder

import "time"

// cpuTime is 0: what the process has used is not known here.
func cpuTime() time.Duration { return 0 }
