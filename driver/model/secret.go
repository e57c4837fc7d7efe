package model

import "strconv"

// Roles of secrets: what a listener or pool uses one for. Those of SNI certificates are numbered, see RoleSNI.
const (
	RoleDefault   = "default"
	RoleClientCA  = "client-ca"
	RoleClientCRL = "client-crl"
	RoleClient    = "client"
	RoleCA        = "ca"
	RoleCRL       = "crl"
)

// RoleSNI returns the role of the SNI certificate at a place of sni_container_refs, from 0.
func RoleSNI(place int) string { return "sni/" + strconv.Itoa(place) }

// Secret is a place in a tree for what a certificate manager keeps: a certificate with its key, or a bundle in PEM. It is
// a reference: what it is set to is in the tree.
type Secret struct {
	Owner Ref
	Role  string
	// URL is where Octavia's certificate manager has it: Octavia's *_ref.
	URL string

	certificate **TLSContainer
	pem         *PEM
}

// Name is the place's own within a load balancer, whatever is in it: "<owner's id>/<role>".
func (s Secret) Name() string { return s.Owner.ID + "/" + s.Role }

// IsCertificate tells a certificate with its key from a bundle in PEM.
func (s Secret) IsCertificate() bool { return s.certificate != nil }

// Certificate returns the certificate with its key; nil when it has not been read, or is none.
func (s Secret) Certificate() *TLSContainer {
	if s.certificate == nil || *s.certificate == nil || (*s.certificate).Certificate == "" {
		return nil
	}
	return *s.certificate
}

// SetCertificate puts a certificate into the tree; it does nothing for a bundle.
func (s Secret) SetCertificate(certificate *TLSContainer) {
	if s.certificate != nil {
		*s.certificate = certificate
	}
}

// PEM returns the bundle; "" when it has not been read, or is none.
func (s Secret) PEM() PEM {
	if s.pem == nil {
		return ""
	}
	return *s.pem
}

// SetPEM puts a bundle into the tree; it does nothing for a certificate.
func (s Secret) SetPEM(bundle PEM) {
	if s.pem != nil {
		*s.pem = bundle
	}
}

// Missing reports whether the tree refers to something that has not been read.
func (s Secret) Missing() bool { return s.Certificate() == nil && s.PEM() == "" }

// Secrets returns the places of all that the tree refers to, in its order.
func (lb *LoadBalancer) Secrets() []Secret {
	var all []Secret
	for i := range lb.Listeners {
		all = append(all, lb.Listeners[i].Secrets()...)
	}
	for i := range lb.Pools {
		all = append(all, lb.Pools[i].Secrets()...)
	}
	return all
}

// Secrets returns the places of what the listener refers to: the default certificate first. SNIContainers has a place for
// each reference afterwards.
func (l *Listener) Secrets() []Secret {
	for len(l.SNIContainers) < len(l.SNIContainerRefs) {
		l.SNIContainers = append(l.SNIContainers, nil)
	}
	places := places{owner: Ref{Kind: KindListener, ID: l.ID}}
	places.certificate(RoleDefault, l.DefaultTLSContainerRef, &l.DefaultTLSContainer)
	for i, url := range l.SNIContainerRefs {
		places.certificate(RoleSNI(i), url, &l.SNIContainers[i])
	}
	places.bundle(RoleClientCA, l.ClientCATLSContainerRef, &l.ClientCATLSContainer)
	places.bundle(RoleClientCRL, l.ClientCRLContainerRef, &l.ClientCRLContainer)
	return places.all
}

// Secrets returns the places of what the pool refers to.
func (p *Pool) Secrets() []Secret {
	places := places{owner: Ref{Kind: KindPool, ID: p.ID}}
	places.certificate(RoleClient, p.TLSContainerRef, &p.TLSContainer)
	places.bundle(RoleCA, p.CATLSContainerRef, &p.CATLSContainer)
	places.bundle(RoleCRL, p.CRLContainerRef, &p.CRLContainer)
	return places.all
}

type places struct {
	owner Ref
	all   []Secret
}

func (p *places) certificate(role, url string, place **TLSContainer) {
	if url != "" {
		p.all = append(p.all, Secret{Owner: p.owner, Role: role, URL: url, certificate: place})
	}
}

func (p *places) bundle(role, url string, place *PEM) {
	if url != "" {
		p.all = append(p.all, Secret{Owner: p.owner, Role: role, URL: url, pem: place})
	}
}
