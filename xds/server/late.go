package server

import "time"

// ackPatience is how long news wait for the answer to the message before them.
const ackPatience = 2 * time.Second

// sendLate sees to it that news of a type reach Envoy although it does not answer the message before them. It answers none
// about clusters while a single one is warming (ClusterManagerImpl::updateClusterCounts), which the first check of a member
// that hangs can make minutes; and what would end that, another version or the removal of the cluster, is among the news. The
// protocol allows for a message before the answer to the former; that it is not the rule is what makes many changes few
// messages. node.mu is held.
func (st *stream) sendLate(typeURL string) {
	if st.last[typeURL] == nil || st.overdue[typeURL] != nil {
		return
	}
	st.overdue[typeURL] = time.AfterFunc(ackPatience, func() {
		st.node.mu.Lock()
		defer st.node.mu.Unlock()
		delete(st.overdue, typeURL)
		w, h := st.last[typeURL], st.types[typeURL]
		switch {
		case w == nil || h == nil || st.watches[typeURL] != nil:
			// The stream ends, or the answer has come and the news went with it.
		case h.queued > 0:
			// Nothing leaves for this Envoy: it would pile up. The news go when it reads again.
			st.sendLate(typeURL)
		default:
			st.answer(typeURL, w, nil)
		}
	})
}
