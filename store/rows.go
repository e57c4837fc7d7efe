package store

// The rows, as gorm sees them. The schema is in migrations/, these only name the columns.

type loadBalancerRow struct {
	ID                 string `gorm:"primaryKey"`
	ProjectID          string
	Name               string
	Tree               *string // JSON of model.LoadBalancer; NULL before the first save
	Revision           int64
	ProvisioningStatus string
	OperatingStatus    string
	LastError          string
	RetryAt            stamp
	CreatedAt          stamp
	UpdatedAt          stamp
}

func (loadBalancerRow) TableName() string { return "load_balancers" }

type objectRow struct {
	Kind           string `gorm:"primaryKey"`
	ID             string `gorm:"primaryKey"`
	LoadBalancerID string `gorm:"column:loadbalancer_id"`
}

func (objectRow) TableName() string { return "objects" }

type intentRow struct {
	ID             int64  `gorm:"primaryKey;autoIncrement"`
	LoadBalancerID string `gorm:"column:loadbalancer_id"`
	Intent         string // JSON of model.Intent; the id there is not set
	CreatedAt      stamp
}

func (intentRow) TableName() string { return "intents" }

type outboxRow struct {
	ID             int64  `gorm:"primaryKey;autoIncrement"`
	LoadBalancerID string `gorm:"column:loadbalancer_id"`
	Status         string // JSON of model.StatusUpdate
	NewerIntent    bool   // set by AddIntent, see HasNewerIntent
	Attempts       int
	LastError      string
	NextAttemptAt  stamp // NULL is now
	CreatedAt      stamp
}

func (outboxRow) TableName() string { return "outbox" }

type auditRow struct {
	ID             int64 `gorm:"primaryKey;autoIncrement"`
	At             stamp
	RequestID      string
	ProjectID      string
	UserID         string
	LoadBalancerID string `gorm:"column:loadbalancer_id"`
	Action         string
	ObjectKind     string
	ObjectID       string
	Outcome        string
	Message        string
}

func (auditRow) TableName() string { return "audit" }

type amphoraRow struct {
	ID             string `gorm:"primaryKey"`
	LoadBalancerID string `gorm:"column:loadbalancer_id"`
	Status         string
	Role           string
	Compute        string
	ComputeID      string
	CreatedAt      stamp
	LastHeartbeat  stamp
}

func (amphoraRow) TableName() string { return "amphorae" }

type vipPortRow struct {
	LoadBalancerID string `gorm:"column:loadbalancer_id;primaryKey"`
	PortID         string
	ProjectID      string
	Claimed        bool
	CreatedAt      stamp
}

func (vipPortRow) TableName() string { return "vip_ports" }

type secretsRow struct {
	LoadBalancerID string `gorm:"column:loadbalancer_id;primaryKey"`
	KeyID          string
	Sealed         []byte // JSON of sealedSecrets, encrypted
	UpdatedAt      stamp
}

func (secretsRow) TableName() string { return "secrets" }

type ocspRow struct {
	Fingerprint string `gorm:"primaryKey"`
	Response    []byte
	FetchedAt   stamp
	UsedAt      stamp
}

func (ocspRow) TableName() string { return "ocsp_responses" }

type statisticsRow struct {
	LoadBalancerID string `gorm:"column:loadbalancer_id;primaryKey"`
	AmphoraID      string `gorm:"primaryKey"`
	Counted        string // JSON of model.AmphoraStatistics
	UpdatedAt      stamp
}

func (statisticsRow) TableName() string { return "amphora_statistics" }
