package eventq_test

import (
	"fmt"

	"github.com/schedsim/schedsim/internal/eventq"
)

// An owner embeds its event, and handlers may arm events again.
func Example() {
	type lamp struct {
		name  string
		blink eventq.Event
		left  int
	}
	var q eventq.Queue
	var now int64
	add := func(name string, period int64, times int) {
		l := &lamp{name: name, left: times}
		l.blink.Fire = func() {
			fmt.Println(now, l.name)
			if l.left--; l.left > 0 {
				q.Arm(&l.blink, now+period, 0)
			}
		}
		q.Arm(&l.blink, period, 0)
	}
	add("red", 2, 3)
	add("green", 3, 2)
	for e := q.Pop(); e != nil; e = q.Pop() {
		now = e.At()
		e.Fire()
	}
	// Output:
	// 2 red
	// 3 green
	// 4 red
	// 6 green
	// 6 red
}
