package fair

// list holds the queued entities of a runqueue, the one that ran last first (rq.cfs_tasks). Load balancing looks for
// tasks to move from its end. The zero value is empty.
type list struct{ head, tail *entity }

func (l *list) pushFront(e *entity) {
	e.lprev, e.lnext = nil, l.head
	if l.head != nil {
		l.head.lprev = e
	} else {
		l.tail = e
	}
	l.head = e
}

func (l *list) remove(e *entity) {
	if e.lprev != nil {
		e.lprev.lnext = e.lnext
	} else {
		l.head = e.lnext
	}
	if e.lnext != nil {
		e.lnext.lprev = e.lprev
	} else {
		l.tail = e.lprev
	}
	e.lprev, e.lnext = nil, nil
}

func (l *list) moveFront(e *entity) {
	if l.head != e {
		l.remove(e)
		l.pushFront(e)
	}
}
