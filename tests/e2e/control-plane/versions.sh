# The versions of the control plane, here and nowhere else. A change makes `make control-plane` build anew.
KUBERNETES=1.37.2
HELM=4.3.1
