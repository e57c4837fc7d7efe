package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
)

func (s *server) flavorRoutes(v1 *gin.RouterGroup) {
	v1.GET("/flavor-capabilities", func(c *gin.Context) {
		c.JSON(http.StatusOK, capabilities.FlavorCapabilities())
	})
	v1.POST("/flavors/validate", s.validateMetadata(capabilities.CheckFlavor))
}
