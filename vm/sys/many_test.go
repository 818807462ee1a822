package sys_test

import "testing"

// Programs that are loaded and run one after the other, each by itself, find room.
func TestManySets(t *testing.T) {
	onEngines(t, func(t *testing.T, r *rig) {
		for i := range int32(100) {
			r.returns(r.syscallProg(join(movK(0, i), exit)), uint64(i))
		}
	})
}
