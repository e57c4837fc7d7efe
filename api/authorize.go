package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
)

// authorize looks at who has connected over TLS: the authority's certificates are for amphorae and operators, too, and
// an amphora that somebody broke into must not be able to change load balancers. Over the unix socket the file's mode
// has decided.
func (s *server) authorize(c *gin.Context) {
	if c.Request.TLS == nil {
		return
	}
	if len(c.Request.TLS.PeerCertificates) == 0 {
		s.refuse(c, &Error{Code: CodeUnauthorized, Message: "A client certificate is required."})
		return
	}
	role, name, err := certs.Identity(c.Request.TLS.PeerCertificates[0])
	switch {
	case err != nil:
		s.refuse(c, &Error{
			Code: CodeUnauthorized, Message: "The client certificate is not one for this API.", Detail: err.Error(),
		})
	case role == certs.RoleAPI, role == certs.RoleOperator && c.Request.Method == http.MethodGet:
	default:
		s.refuse(c, &Error{
			Code:    CodeUnauthorized,
			Message: "A client certificate of the role " + string(role) + " does not allow this call.",
			Detail:  "the certificate is that of " + name,
		})
	}
}
