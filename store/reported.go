package store

import (
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

type healthRow struct {
	AmphoraID      string `gorm:"primaryKey"`
	LoadBalancerID string `gorm:"column:loadbalancer_id"`
	View           string
	UpdatedAt      stamp
}

func (healthRow) TableName() string { return "amphora_health" }

type reportedRow struct {
	LoadBalancerID string `gorm:"column:loadbalancer_id;primaryKey"`
	Statuses       string // JSON of byKind
	Refused        string // JSON of a list of model.Ref
	PublishedAt    stamp
	MessageID      int64 // of Settle's last message; 0 before the first
	SpokeAt        stamp // when that was written
	PauseMs        int64 // from then on
	SettleAt       stamp // NULL is settled
	ChangedAt      stamp // of the oldest change that is not settled
}

func (reportedRow) TableName() string { return "reported_statuses" }

// byKind is how statuses are stored: short, and in the same order each time.
type byKind map[model.Kind]map[string]model.OperatingStatus

// readReported returns the row of a load balancer, a new one if there is none.
func readReported(db *gorm.DB, lbID string) (reportedRow, error) {
	row := reportedRow{}
	err := db.Where("loadbalancer_id = ?", lbID).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return reportedRow{LoadBalancerID: lbID, Statuses: "{}", Refused: "[]"}, nil
	}
	return row, err
}

// putReported needs the lock on the load balancer's row.
func putReported(tx *gorm.DB, row reportedRow) error {
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error
}

// settle notes that the load balancer is to be settled as soon as its pause is over.
func (r *reportedRow) settle(now time.Time) {
	due := now
	if end := r.SpokeAt.Add(time.Duration(r.PauseMs) * time.Millisecond); !r.SpokeAt.IsZero() && end.After(now) {
		due = end
	}
	if r.SettleAt.IsZero() || r.SettleAt.After(due) {
		r.SettleAt = newStamp(due)
	}
}

// statuses are what was reported, to be read only. What cannot be read counts as never reported: then it is reported again.
func (s *Store) statuses(row reportedRow) map[model.Ref]model.OperatingStatus {
	if kept := s.reported.Get(row.LoadBalancerID); kept != nil && kept.text == row.Statuses {
		return kept.statuses
	}
	stored := byKind{}
	_ = json.Unmarshal([]byte(row.Statuses), &stored)
	statuses := map[model.Ref]model.OperatingStatus{}
	for kind, ids := range stored {
		for id, status := range ids {
			statuses[model.Ref{Kind: kind, ID: id}] = status
		}
	}
	s.keepStatuses(row, statuses)
	return statuses
}

// changeStatuses notes what was reported since: "" is nothing any more.
func (s *Store) changeStatuses(row *reportedRow, changes map[model.Ref]model.OperatingStatus) error {
	before := s.statuses(*row)
	maps.DeleteFunc(changes, func(ref model.Ref, status model.OperatingStatus) bool { return before[ref] == status })
	if len(changes) == 0 {
		return nil
	}
	statuses := maps.Clone(before)
	for ref, status := range changes {
		if statuses[ref] = status; status == "" {
			delete(statuses, ref)
		}
	}
	body, err := encodeStatuses(statuses)
	if err != nil {
		return err
	}
	row.Statuses = body
	s.keepStatuses(*row, statuses)
	return nil
}

func encodeStatuses(statuses map[model.Ref]model.OperatingStatus) (string, error) {
	stored := byKind{}
	for ref, status := range statuses {
		if stored[ref.Kind] == nil {
			stored[ref.Kind] = map[string]model.OperatingStatus{}
		}
		stored[ref.Kind][ref.ID] = status
	}
	body, err := json.Marshal(stored)
	return string(body), err
}

const (
	// maxStatuses is how many bytes of text the kept statuses have together. Decoded, they take about twice as much once more.
	maxStatuses = 16 << 20
	// minStatuses is what is read so fast that it is not kept: the load balancers of a fleet are many, and small.
	minStatuses = 4 << 10
)

// keptStatuses are what was reported and the text of it, which is all that they depend on: as with trees, it does not matter who
// wrote it.
type keptStatuses struct {
	text     string
	statuses map[model.Ref]model.OperatingStatus
}

func (s *Store) keepStatuses(row reportedRow, statuses map[model.Ref]model.OperatingStatus) {
	if len(row.Statuses) < minStatuses {
		s.reported.Drop(row.LoadBalancerID)
		return
	}
	s.reported.Put(row.LoadBalancerID, &keptStatuses{row.Statuses, statuses}, len(row.Statuses))
}

func (r *reportedRow) refuse(refused []model.Ref) error {
	if refused == nil {
		refused = []model.Ref{}
	}
	body, err := json.Marshal(refused)
	r.Refused = string(body)
	return err
}

func (s *Store) fillReported(health *Health, r reportedRow) error {
	var refused []model.Ref
	if err := json.Unmarshal([]byte(r.Refused), &refused); err != nil {
		return err
	}
	health.Refused = map[model.Ref]bool{}
	for _, ref := range refused {
		health.Refused[ref] = true
	}
	health.Reported, health.PublishedAt, health.SpokeAt = s.statuses(r), r.PublishedAt.Time, r.SpokeAt.Time
	health.Pause = time.Duration(r.PauseMs) * time.Millisecond
	return nil
}

// records lists the records of an update with what they are about.
func records(update model.StatusUpdate) iter.Seq2[model.Ref, model.ObjectStatus] {
	return func(yield func(model.Ref, model.ObjectStatus) bool) {
		for _, kind := range []model.Kind{
			model.KindLoadBalancer, model.KindListener, model.KindPool, model.KindMember, model.KindHealthMonitor,
			model.KindL7Policy, model.KindL7Rule,
		} {
			for _, record := range *update.Records(kind) {
				if !yield(model.Ref{Kind: kind, ID: record.ID}, record) {
					return
				}
			}
		}
	}
}
