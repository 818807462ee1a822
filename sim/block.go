package sim

// Block ends the delay of t, which sleeps: its class kept it queued and has now dequeued it for good (__block_task).
func (m *Machine) Block(t *Task) {
	t.setOnRQ(0)
}
