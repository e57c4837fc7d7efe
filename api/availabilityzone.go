package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/api/wire"
	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
)

func (s *server) availabilityZoneRoutes(v1 *gin.RouterGroup) {
	v1.GET("/availability-zone-capabilities", func(c *gin.Context) {
		c.JSON(http.StatusOK, capabilities.AvailabilityZoneCapabilities())
	})
	v1.POST("/availability-zones/validate", s.validateMetadata(capabilities.CheckAvailabilityZone))
}

// validateMetadata answers 204 if the metadata of a flavor or zone, which is the body, has no problem.
func (s *server) validateMetadata(check func(map[string]any) []capabilities.Problem) gin.HandlerFunc {
	return func(c *gin.Context) {
		data, err := body(c)
		if err != nil {
			s.refuse(c, err)
			return
		}
		metadata, err := wire.Metadata(data)
		if err != nil {
			s.refuse(c, malformed(err))
			return
		}
		if problems := check(metadata); len(problems) > 0 {
			s.refuse(c, unservable(problems, pathsBelow("", problems)))
			return
		}
		c.Status(http.StatusNoContent)
		c.Writer.WriteHeaderNow()
	}
}
